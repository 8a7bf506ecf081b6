// What a front end has to know of the image that its blobs are in.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "vnvram/store.h"

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
  bool encrypted = false; ///< It needs a key.
  /// It is the other host's of those that see it: see SharedImage.
  bool elsewhere = false;
};

[[nodiscard]] inline ImageState image_state(const StoreInfo& info) {
  return {.uuid = info.uuid,
          .generation = info.generation,
          .sealed = info.sealed,
          .content_may_change = info.content_may_change,
          .space_free_bytes = info.space_free_bytes,
          .blob_size_max_bytes = info.blob_size_max_bytes,
          .encrypted = info.encrypted};
}

} // namespace vnvram
