// The blobs of an image that is open in this process, for reading.
#pragma once

#include "backup/blob_source.h"
#include "vnvram/store.h"

namespace vnvram {

/// A store that is open for reading shows one generation.
class StoreSource final : public BlobSource {
public:
  /// The store outlives it.
  explicit StoreSource(Store& store) : store_(store) {}

  Result<Moment> changes(std::uint64_t after, std::uint64_t /*content_max_bytes*/) override {
    Moment moment{.state = image_state(store_.info()), .blobs = store_.blobs()};
    moment.complete = after == moment.state.generation;
    return moment;
  }
  Status read(const std::string& blob, std::uint64_t offset_bytes,
              std::span<std::byte> bytes) override {
    return store_.read_range(blob, offset_bytes, bytes);
  }
  Status hold() override { return {}; }
  void let_go() override {}

private:
  Store& store_;
};

} // namespace vnvram
