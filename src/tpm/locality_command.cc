#include "tpm/locality_command.h"

#include <algorithm>

#include "base/big_endian.h"

namespace vnvram {
namespace {

constexpr std::size_t header_bytes = 10;
constexpr std::size_t code_offset = 6;
// TPM2_CC_SET_LOCALITY and TPM_ORD_SET_LOCALITY of linux/vtpm_proxy.h.
constexpr std::uint32_t set_locality_code = 0x20001000;

} // namespace

std::optional<std::uint8_t> locality_asked_for(std::span<const std::byte> command) {
  const bool is_it = command.size() > header_bytes &&
                     load_big_endian<std::uint32_t>(command, code_offset) == set_locality_code;
  return is_it ? std::optional(std::to_integer<std::uint8_t>(command[header_bytes])) : std::nullopt;
}

LocalityResponse locality_response(TpmVersion version, bool is_set) {
  constexpr std::uint16_t tag_tpm2 = 0x8001;
  constexpr std::uint16_t tag_tpm12 = 0x00c4;
  constexpr std::uint32_t bad_locality_tpm2 = 0x107;
  constexpr std::uint32_t bad_locality_tpm12 = 0x3d;
  const bool is_tpm2 = version == TpmVersion::tpm2_0;
  LocalityResponse response{};
  store_big_endian(response, 0, is_tpm2 ? tag_tpm2 : tag_tpm12);
  store_big_endian(response, sizeof(std::uint16_t), static_cast<std::uint32_t>(response.size()));
  store_big_endian(response, code_offset,
                   is_set    ? std::uint32_t{0}
                   : is_tpm2 ? bad_locality_tpm2
                             : bad_locality_tpm12);
  return response;
}

} // namespace vnvram
