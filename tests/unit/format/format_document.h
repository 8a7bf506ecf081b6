// The hex dumps of docs/format.md, and what its encrypted examples are made of.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <vector>

#include "format/codec.h"
#include "vnvram/block_device.h"

namespace vnvram::format {

/// The bytes whose dump follows the heading; lines that are left out of the dump are zero, and so
/// is what is behind it.
[[nodiscard]] std::array<std::byte, block_size_bytes> read_dump(const std::string& heading);

/// So many bytes that count from the first one on.
[[nodiscard]] std::vector<std::byte> counting(unsigned first, std::size_t size_bytes);
[[nodiscard]] std::vector<std::byte> example_data_key();
[[nodiscard]] Codec example_sealing_codec();

} // namespace vnvram::format
