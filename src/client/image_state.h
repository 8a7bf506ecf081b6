// What a front end has to know of the image that its blobs are in.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace vnvram {

/// The part of StoreInfo that an owner tells whoever asks for blobs.
struct ImageState {
  std::array<std::byte, 16> uuid{};
  std::uint64_t generation = 0; ///< The last durable commit.
  bool sealed = false;          ///< It takes no change: its state was handed over.
  /// Someone else may change the device's content underneath.
  bool content_may_change = false;
  std::uint64_t space_free_bytes = 0; ///< For blobs to be registered, or to grow.
  /// The largest blob whose whole rewrite fits a transaction.
  std::uint64_t blob_size_max_bytes = 0;
};

} // namespace vnvram
