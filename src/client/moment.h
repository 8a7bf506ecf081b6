// An image's blobs at one moment.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "client/image_state.h"
#include "vnvram/blob.h"

namespace vnvram {

/// Of all its contents: there must be room in a message for the list as well.
inline constexpr std::uint64_t moment_content_max_bytes = blob_size_max_bytes / 2;

/// Of what is read of an image's device in one call.
inline constexpr std::uint32_t device_read_max_bytes = std::uint32_t{1} << 20U;

/// One at which nothing was deferred, so that all of it is of one generation.
struct Moment {
  ImageState state;
  std::vector<BlobInfo> blobs; ///< In the order of their names.
  /// Of those that were asked for, if it is complete.
  std::map<std::string, std::vector<std::byte>> contents = {};
  bool complete = true;
};

/// Written or registered since.
[[nodiscard]] inline bool is_newer(const BlobInfo& blob, std::uint64_t generation) {
  return std::max(blob.generation, blob.registered_generation) > generation;
}

} // namespace vnvram
