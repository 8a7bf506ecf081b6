#include "tpm/locality_command.h"

#include "base/big_endian.h"

namespace vnvram {
namespace {

constexpr std::size_t header_bytes = 10;
constexpr std::size_t size_offset = 2;
constexpr std::size_t code_offset = 6;
// TPM2_CC_SET_LOCALITY and TPM_ORD_SET_LOCALITY of linux/vtpm_proxy.h.
constexpr std::uint32_t set_locality_code = 0x20001000;

struct Answers {
  std::uint16_t tag;
  std::uint32_t bad_locality;
  std::uint32_t too_short;
};
constexpr Answers answers_tpm2 = {.tag = 0x8001, .bad_locality = 0x107, .too_short = 0x9a};
constexpr Answers answers_tpm12 = {.tag = 0x00c4, .bad_locality = 0x3d, .too_short = 0x19};

} // namespace

std::optional<std::span<const std::byte>>
LocalityCommand::answer(std::span<const std::byte> command, TpmVersion version,
                        const std::function<void(std::uint8_t)>& set) {
  if (!locality_max_ || command.size() < header_bytes ||
      load_big_endian<std::uint32_t>(command, code_offset) != set_locality_code) {
    return std::nullopt;
  }
  const Answers& answers = version == TpmVersion::tpm2_0 ? answers_tpm2 : answers_tpm12;
  std::uint32_t result = answers.too_short;
  if (command.size() > header_bytes) {
    const auto locality = std::to_integer<std::uint8_t>(command[header_bytes]);
    const bool is_allowed = locality <= *locality_max_;
    result = is_allowed ? 0 : answers.bad_locality;
    if (is_allowed) {
      set(locality);
    }
  }
  store_big_endian(std::span<std::byte>(response_), 0, answers.tag);
  store_big_endian(std::span<std::byte>(response_), size_offset,
                   static_cast<std::uint32_t>(response_.size()));
  store_big_endian(std::span<std::byte>(response_), code_offset, result);
  return response_;
}

} // namespace vnvram
