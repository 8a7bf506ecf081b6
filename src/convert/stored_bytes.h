// What other programs' files hold.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/folder.h"
#include "vnvram/result.h"

namespace vnvram {

/// All bytes of a regular file that is in this folder, and no link. Errors: io; corrupt (it is
/// larger than that, or no file).
Result<std::vector<std::byte>> read_stored_file(const Folder& folder, const std::string& name,
                                                std::size_t max_bytes);
/// These bytes of an open file or device, or those that are there. Errors: io.
Result<std::vector<std::byte>> read_stored_bytes(int descriptor, const std::string& path,
                                                 std::uint64_t offset_bytes,
                                                 std::size_t length_bytes);
/// All of them, there, and not flushed. False with errno set.
bool write_stored_bytes(int descriptor, std::span<const std::byte> bytes,
                        std::uint64_t offset_bytes);

} // namespace vnvram
