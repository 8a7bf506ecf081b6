// The worked example of docs/format.md: the test makes these bytes and compares them with the
// document.
#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include "format/superblock.h"
#include "vnvram/block_device.h"

namespace vnvram::format {

/// Superblock A of a small image, as it is after a clean close.
[[nodiscard]] Superblock example_superblock();
/// The record that a commit makes on it: "hello" into a blob whose only page is page 1, and the
/// blob's new size and generation into its directory entry.
[[nodiscard]] std::vector<std::byte> example_record();

} // namespace vnvram::format
