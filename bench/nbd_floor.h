// The floor over NBD: what one write of 4 KiB with FUA costs a program that has nothing but libnbd.
#pragma once

#include <libnbd.h>

#include <cstdint>
#include <memory>
#include <string>

#include "base/aligned_buffer.h"

namespace vnvram::bench {

class NbdFloor {
public:
  /// A connection of its own. It writes in a circle around this part of the export.
  NbdFloor(const std::string& uri, std::uint64_t offset_bytes, std::uint64_t size_bytes);
  void write();

private:
  struct Close {
    void operator()(nbd_handle* handle) const { nbd_close(handle); }
  };
  std::unique_ptr<nbd_handle, Close> handle_;
  std::uint64_t begin_bytes_;
  std::uint64_t size_bytes_;
  std::uint64_t count_ = 0;
  AlignedBuffer block_;
};

} // namespace vnvram::bench
