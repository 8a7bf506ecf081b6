#include "content/tpm_state_check.h"

#include <algorithm>
#include <array>
#include <vector>

#include <fmt/core.h>

#include "soft_tpm/quiet_libtpms.h"
#include "soft_tpm/soft_tpm.h"

namespace vnvram {
namespace {

struct Mark {
  std::size_t offset_bytes;
  std::string_view bytes;
  std::string_view what;
};

constexpr std::string_view swtpm_wrapped = "a state in swtpm's header, or a file of swtpm's";
constexpr std::string_view swtpm_linear = "a state file of swtpm's (its backend file://)";

// What is taken for a TPM's state, and what states begin with: swtpm's headers as in its
// documentation of its state files, libtpms' own from the states that it has written.
constexpr std::array<Mark, 10> marks = {{
    {0, {"\x02\x01\x00\x0a", 4}, swtpm_wrapped},
    {0, {"\x01\x01\x00\x0a", 4}, swtpm_wrapped},
    {0, "nilmptws", swtpm_linear},
    {0, "QFI\xfb", "a qcow2 image"},
    {40, "_FVH", "a firmware volume"},
    {2, "\xab\x36\x47\x23", "the permanent state of a TPM 2.0"},
    {2, "\x45\x63\x78\x89", "the volatile state of a TPM 2.0"},
    {0, {"\x00\x01\x00\x22", 4}, "the permanent state of a TPM 1.2"},
    {0, {"\x00\x01\x00\x01", 4}, "the volatile state of a TPM 1.2"},
    {0, {"\x00\x24", 2}, "the save-state of a TPM 1.2"},
}};

bool is_at(std::span<const std::byte> bytes, const Mark& mark) {
  const auto there = std::as_bytes(std::span(mark.bytes));
  if (bytes.size() < mark.offset_bytes + there.size()) {
    return false;
  }
  const auto part = bytes.subspan(mark.offset_bytes, there.size());
  return std::equal(there.begin(), there.end(), part.begin());
}

std::string_view what_it_is(std::span<const std::byte> bytes) {
  if (bytes.empty()) {
    return "nothing: it is empty";
  }
  const auto* const mark = std::find_if(marks.begin(), marks.end(),
                                        [&](const Mark& each) { return is_at(bytes, each); });
  return mark == marks.end() ? "nothing that is known" : mark->what;
}

std::string name_of(const TpmStateType& type) {
  constexpr std::array<std::string_view, tpm_state_count> names = {"permanent state",
                                                                   "volatile state", "save-state"};
  return fmt::format("the {} of a {}", names.at(static_cast<std::size_t>(type.state)),
                     type.version == TpmVersion::tpm2_0 ? "TPM 2.0" : "TPM 1.2");
}

std::string_view what_to_give(std::string_view what_is_there) {
  return what_is_there == swtpm_wrapped || what_is_there == swtpm_linear
             ? "`import-swtpm` takes over what swtpm keeps: name its folder, or its linear file; "
               "--force writes it all the same"
             : "give what `get` has taken out of such a blob; --force writes it all the same";
}

struct Refusal {
  std::string text;        ///< Empty: there is none.
  bool is_too_new = false; ///< libtpms says itself that a later one has made it.
};

/// libtpms' own judgement. Of a TPM 1.2 it has one on the permanent state alone; the others it
/// compares with that one, which is not here.
Refusal refusal(const TpmStateType& type, std::span<const std::byte> bytes) {
  if (type.version == TpmVersion::tpm1_2 && type.state != TpmState::permanent) {
    return {what_it_is(bytes) == name_of(type) ? "" : "this does not begin as"};
  }
  const QuietLibtpms quiet;
  SoftTpm tpm(type.version, tpm_blob_specs(type.version),
              std::vector<std::vector<std::byte>>(tpm_state_count), Manufacture::forbidden);
  const TpmResult result = tpm.set_state(type.state, {bytes.begin(), bytes.end()});
  return result == tpm_success ? Refusal()
                               : Refusal{fmt::format("{} (code 0x{:x}) does not take this for",
                                                     libtpms_producer(), result),
                                         result == tpm_bad_version};
}

} // namespace

std::optional<TpmStateType> tpm_state_of_type(std::string_view type) {
  for (const TpmVersion version : {TpmVersion::tpm2_0, TpmVersion::tpm1_2}) {
    for (std::size_t index = 0; index < tpm_state_count; ++index) {
      const auto state = static_cast<TpmState>(index);
      if (type == tpm_blob_type(version, state)) {
        return TpmStateType{.version = version, .state = state};
      }
    }
  }
  return std::nullopt;
}

Status check_tpm_state(const TpmStateType& type, std::span<const std::byte> bytes,
                       const std::string& source) {
  if (bytes.empty() && type.state != TpmState::permanent) {
    return {};
  }
  const auto [refused, is_too_new] = refusal(type, bytes);
  if (refused.empty()) {
    return {};
  }
  if (is_too_new) {
    return Error(ErrorKind::too_new,
                 fmt::format("{}: {} {}: a later one has made it", source, refused, name_of(type)),
                 "it needs the libtpms that has made it, or a later one");
  }
  return Error(
      ErrorKind::invalid_argument,
      fmt::format("{}: {} {}; it is {}", source, refused, name_of(type), what_it_is(bytes)),
      std::string(what_to_give(what_it_is(bytes))));
}

Status check_tpm_states(TpmVersion version, const std::vector<std::vector<std::byte>>& states,
                        const std::string& source) {
  for (std::size_t index = 0; index < states.size(); ++index) {
    const TpmStateType type = {.version = version, .state = static_cast<TpmState>(index)};
    if (Status fits = check_tpm_state(type, states.at(index), source); !fits) {
      return fits;
    }
  }
  const QuietLibtpms quiet;
  SoftTpm tpm(version, tpm_blob_specs(version), states, Manufacture::forbidden);
  const Status together = tpm.verify();
  return together ? Status()
                  : Status(Error(ErrorKind::invalid_argument,
                                 fmt::format("{}: its states do not belong together: {}", source,
                                             together.error().cause()),
                                 "give those of one moment"));
}

} // namespace vnvram
