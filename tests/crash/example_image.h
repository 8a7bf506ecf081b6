// Small images with known content, for tests that damage them.
#pragma once

#include <cstddef>
#include <vector>

#include "crash/store_state.h"

namespace vnvram::test {

struct ExampleImage {
  std::vector<std::byte> bytes;
  StoreState state;       ///< What it holds.
  StoreState last_undone; ///< The same without its newest commit.
};

// Encrypted ones are sealed with data_key().
/// Closed in good order: everything is in the homes.
[[nodiscard]] ExampleImage closed_image(bool encrypted = false);
/// As a power cut left it: homes, a ring full of records on top, and records of earlier times.
[[nodiscard]] ExampleImage interrupted_image(bool encrypted = false);
/// Closed, and so large that its blobs do not fit the cache of deterministic_options().
[[nodiscard]] ExampleImage large_image(bool encrypted = false);

} // namespace vnvram::test
