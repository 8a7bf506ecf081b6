// Memory that direct I/O accepts: it starts at a multiple of the block size.
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <span>

#include "vnvram/block_device.h"

namespace vnvram {

/// Its bytes are uninitialised.
class AlignedBuffer {
public:
  explicit AlignedBuffer(std::size_t size_bytes)
      : size_bytes_(size_bytes),
        bytes_(static_cast<std::byte*>(::operator new(size_bytes, alignment))) {}

  [[nodiscard]] std::size_t size_bytes() const { return size_bytes_; }
  [[nodiscard]] std::span<std::byte> span() { return {bytes_.get(), size_bytes_}; }

private:
  static constexpr std::align_val_t alignment{block_size_bytes};
  struct Release {
    void operator()(std::byte* bytes) const { ::operator delete(bytes, alignment); }
  };

  std::size_t size_bytes_;
  std::unique_ptr<std::byte, Release> bytes_;
};

} // namespace vnvram
