// What TPMs call the algorithms of their keys (TPM 2.0 Library, part 2, TPM_ALG_ID).
#pragma once

#include <cstdint>

namespace vnvram::algorithm {

constexpr std::uint16_t rsa = 0x01;
constexpr std::uint16_t aes = 0x06;
constexpr std::uint16_t sha256 = 0x0b;
constexpr std::uint16_t sha384 = 0x0c;
constexpr std::uint16_t none = 0x10;
constexpr std::uint16_t ecc = 0x23;
constexpr std::uint16_t cfb = 0x43;

} // namespace vnvram::algorithm
