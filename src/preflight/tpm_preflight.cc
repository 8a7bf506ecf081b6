#include "preflight/tpm_preflight.h"

#include <algorithm>
#include <iterator>
#include <optional>
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

  bool operator==(const HeldTpm&) const = default;
  [[nodiscard]] std::string name() const {
    return prefix + (version == TpmVersion::tpm2_0 ? "tpm2" : "tpm12");
  }
};

/// Of a blob with such a name, whatever its type.
std::optional<HeldTpm> tpm_of(const std::string& blob) {
  for (const TpmVersion version : {TpmVersion::tpm2_0, TpmVersion::tpm1_2}) {
    for (std::size_t state = 0; state < tpm_state_count; ++state) {
      const std::string_view ending = tpm_blob_name(version, static_cast<TpmState>(state));
      if (blob.ends_with(ending)) {
        return HeldTpm{.version = version, .prefix = blob.substr(0, blob.size() - ending.size())};
      }
    }
  }
  return std::nullopt;
}

// Also those that lack some of their blobs: a start refuses them.
std::vector<HeldTpm> tpms_of(const std::vector<BlobInfo>& blobs) {
  std::vector<HeldTpm> tpms;
  for (const BlobInfo& blob : blobs) {
    const std::optional<HeldTpm> tpm = tpm_of(blob.name);
    if (tpm && std::ranges::find(tpms, *tpm) == tpms.end()) {
      tpms.push_back(*tpm);
    }
  }
  return tpms;
}

class TpmPreflight {
public:
  TpmPreflight(Store& store, const HeldTpm& tpm)
      : store_(store), tpm_(tpm), specs_(tpm_blob_specs(tpm.version, tpm.prefix)) {}

  /// `grows_bytes`: what the blobs of all TPMs grow by, those before this one so far.
  Result<PreflightFindings> run(std::uint64_t& grows_bytes) {
    if (!has_its_blobs()) {
      return std::move(findings_);
    }
    check_sizes();
    check_room(grows_bytes);
    Status done = check_content();
    return done ? Result<PreflightFindings>(std::move(findings_)) : done.error();
  }

private:
  void add(Outcome outcome, std::string text) {
    findings_.push_back({tpm_.name(), outcome, std::move(text)});
  }
  void refuse(const Error& error) {
    findings_.push_back(PreflightFinding::refusal(tpm_.name(), error));
  }

  // A start registers none of them anew.
  bool has_its_blobs() {
    for (const BlobSpec& spec : specs_) {
      const Result<BlobInfo> blob = store_.blob(spec.name);
      if (!blob) {
        refuse({ErrorKind::not_found, fmt::format("the image has no blob {}", spec.name),
                "`register` adds what is missing of a TPM"});
      } else if (blob->type != spec.type) {
        refuse({ErrorKind::type_mismatch,
                fmt::format("blob {}: its type on the image is {}, not {}", spec.name, blob->type,
                            spec.type),
                "`rm` removes the blob"});
      } else {
        infos_.push_back(*blob);
      }
    }
    return infos_.size() == specs_.size();
  }

  // A rewrite of each has to fit in the log.
  void check_sizes() {
    const std::uint64_t size_max_bytes = store_.info().blob_size_max_bytes;
    for (const BlobSpec& spec : specs_) {
      if (spec.size_max_bytes > size_max_bytes) {
        refuse({ErrorKind::too_large,
                fmt::format("blob {}: {} asks for {} bytes, and with the ring of this image a blob "
                            "has {} at most",
                            spec.name, libtpms_producer(), spec.size_max_bytes, size_max_bytes),
                "make a new image with a larger ring: `create --ring-size`"});
      }
    }
  }

  // At its start each blob grows to what this libtpms may fill.
  void check_room(std::uint64_t& grows_bytes) {
    const auto in_blocks = [](std::uint64_t bytes) {
      return (bytes + block_size_bytes - 1) / block_size_bytes * block_size_bytes;
    };
    std::uint64_t more_bytes = 0;
    for (std::size_t state = 0; state < tpm_state_count; ++state) {
      const std::uint64_t has_bytes = infos_.at(state).size_max_bytes;
      more_bytes +=
          in_blocks(std::max(specs_.at(state).size_max_bytes, has_bytes)) - in_blocks(has_bytes);
    }
    const bool is_first = grows_bytes == 0;
    grows_bytes += more_bytes;
    const std::uint64_t free_bytes = store_.info().space_free_bytes;
    if (more_bytes > 0 && grows_bytes > free_bytes) {
      refuse({ErrorKind::no_space,
              fmt::format("its blobs{} grow by {} bytes for {}, and {} are free",
                          is_first ? "" : ", and those of the image's other TPMs,", grows_bytes,
                          libtpms_producer(), free_bytes),
              "`resize` makes the image larger"});
    }
  }

  Status check_content() {
    const BlobInfo& permanent = infos_.front();
    if (permanent.generation == 0) {
      add(Outcome::note, "it was never started: a new one is made at its start");
      return {};
    }
    if (permanent.size_bytes == 0) {
      refuse({ErrorKind::corrupt,
              fmt::format("blob {} was written once and is empty now", permanent.name),
              "restore the image from a backup; for a new TPM `rm` its blobs and `register` them "
              "again"});
      return {};
    }
    return check_states();
  }

  Status check_states() {
    std::vector<std::vector<std::byte>> states;
    for (const BlobSpec& spec : specs_) {
      Result<std::vector<std::byte>> bytes = store_.read(spec.name);
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
                                     infos_.front().producer));
    } else {
      refuse(reason(taken.error()));
    }
    return {};
  }

  // The bytes are those that were written: their checksums say so.
  [[nodiscard]] Error reason(const Error& refused) const {
    const std::string cause =
        fmt::format("{} ({} has written it)", refused.cause(), infos_.front().producer);
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
  std::vector<BlobInfo> infos_; ///< In the same order.
  PreflightFindings findings_;
};

} // namespace

Result<PreflightFindings> check_tpms(Store& store) {
  PreflightFindings all;
  const std::vector<HeldTpm> tpms = tpms_of(store.blobs());
  std::uint64_t grows_bytes = 0;
  for (const HeldTpm& tpm : tpms) {
    Result<PreflightFindings> found = TpmPreflight(store, tpm).run(grows_bytes);
    if (!found) {
      return found;
    }
    std::ranges::move(*found, std::back_inserter(all));
  }
  return all;
}

} // namespace vnvram
