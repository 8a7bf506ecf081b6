#include "preflight/tpm_preflight.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "base/secret_bytes.h"
#include "content/tpm_state_check.h"
#include "soft_tpm/tpm_blobs.h"

namespace vnvram {
namespace {

using Outcome = PreflightFinding::Outcome;

/// One that an image has.
struct HeldTpm {
  TpmVersion version = TpmVersion::tpm2_0;
  std::string prefix;
  BlobInfo permanent;

  [[nodiscard]] std::string name() const {
    return prefix + (version == TpmVersion::tpm2_0 ? "tpm2" : "tpm12");
  }
};

std::vector<HeldTpm> tpms_of(const std::vector<BlobInfo>& blobs) {
  std::vector<HeldTpm> tpms;
  for (const BlobInfo& blob : blobs) {
    for (const TpmVersion version : {TpmVersion::tpm2_0, TpmVersion::tpm1_2}) {
      const std::string_view ending = tpm_blob_name(version, TpmState::permanent);
      if (blob.name.ends_with(ending) && blob.type == tpm_blob_type(version, TpmState::permanent)) {
        tpms.push_back({.version = version,
                        .prefix = blob.name.substr(0, blob.name.size() - ending.size()),
                        .permanent = blob});
      }
    }
  }
  return tpms;
}

class TpmPreflight {
public:
  TpmPreflight(Store& store, const HeldTpm& tpm)
      : store_(store), tpm_(tpm), specs_(tpm_blob_specs(tpm.version, tpm.prefix)) {}

  Result<PreflightFindings> run() {
    check_attributes();
    check_room();
    if (tpm_.permanent.size_bytes == 0) {
      add(Outcome::note, "it was never started, or has no state: a new one is made at its start");
      return std::move(findings_);
    }
    Status done = check_states();
    return done ? Result<PreflightFindings>(std::move(findings_)) : done.error();
  }

private:
  void add(Outcome outcome, std::string text) {
    findings_.push_back({tpm_.name(), outcome, std::move(text)});
  }
  void refuse(const Error& error) {
    findings_.push_back(PreflightFinding::refusal(tpm_.name(), error));
  }

  // A TPM's program knows none.
  void check_attributes() {
    for (const BlobSpec& spec : specs_) {
      const Result<BlobInfo> blob = store_.blob(spec.name);
      for (const Attribute& attribute : blob ? blob->attributes : std::vector<Attribute>()) {
        if (attribute.must_know) {
          refuse({ErrorKind::too_new,
                  fmt::format("blob {} has the attribute {}, which is not known here", spec.name,
                              attribute.name),
                  "use the version that has written it, or a later one"});
        }
      }
    }
  }

  // At its start each blob grows to what this libtpms may fill.
  void check_room() {
    std::uint64_t grows_bytes = 0;
    for (const BlobSpec& spec : specs_) {
      const auto in_blocks = [](std::uint64_t bytes) {
        return (bytes + block_size_bytes - 1) / block_size_bytes * block_size_bytes;
      };
      const Result<BlobInfo> blob = store_.blob(spec.name);
      const std::uint64_t has_bytes = blob ? in_blocks(blob->size_max_bytes) : 0;
      grows_bytes +=
          in_blocks(std::max(spec.size_max_bytes, blob ? blob->size_max_bytes : 0)) - has_bytes;
    }
    const std::uint64_t free_bytes = store_.info().space_free_bytes;
    if (grows_bytes > free_bytes) {
      refuse({ErrorKind::no_space,
              fmt::format("its blobs grow by {} bytes for {}, and {} are free", grows_bytes,
                          libtpms_producer(), free_bytes),
              "`resize` makes the image larger"});
    }
  }

  Status check_states() {
    std::vector<std::vector<std::byte>> states;
    for (const BlobSpec& spec : specs_) {
      const bool is_there = store_.blob(spec.name).ok();
      Result<std::vector<std::byte>> bytes =
          is_there ? store_.read(spec.name)
                   : Result<std::vector<std::byte>>(std::vector<std::byte>());
      if (!bytes) {
        wipe(states);
        return bytes.error();
      }
      states.push_back(*std::move(bytes));
    }
    const Status taken = check_tpm_states(tpm_.version, states, tpm_.name());
    wipe(states);
    if (taken) {
      add(Outcome::good, fmt::format("{} takes its state, which {} has written", libtpms_producer(),
                                     tpm_.permanent.producer));
    } else {
      refuse(reason(taken.error()));
    }
    return {};
  }

  // The bytes are those that were written: their checksums say so.
  [[nodiscard]] Error reason(const Error& refused) const {
    const std::string cause =
        fmt::format("{} ({} has written it)", refused.cause(), tpm_.permanent.producer);
    return refused.kind() == ErrorKind::too_new
               ? Error(ErrorKind::too_new, cause, refused.remedy())
               : Error(ErrorKind::corrupt, cause,
                       "use the libtpms that has made it, or take it from a backup");
  }

  static void wipe(std::vector<std::vector<std::byte>>& states) {
    for (std::vector<std::byte>& state : states) {
      wipe_memory(state);
    }
  }

  Store& store_;
  const HeldTpm& tpm_;
  const std::vector<BlobSpec> specs_;
  PreflightFindings findings_;
};

} // namespace

Result<PreflightFindings> check_tpms(Store& store) {
  PreflightFindings all;
  const std::vector<HeldTpm> tpms = tpms_of(store.blobs());
  for (const HeldTpm& tpm : tpms) {
    Result<PreflightFindings> found = TpmPreflight(store, tpm).run();
    if (!found) {
      return found;
    }
    std::ranges::move(*found, std::back_inserter(all));
  }
  return all;
}

} // namespace vnvram
