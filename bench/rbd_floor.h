// The floor on RBD: what a write of 4 KiB with the flush behind it, and an opening, cost a program
// that has nothing but librbd.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "device/rbd_library.h"

namespace vnvram::bench {

/// A client of its own, as `rbd` is one. One image at a time.
class RbdFloor {
public:
  /// librbd's cache, which is on where nobody says otherwise: then the flush is what makes a write
  /// durable, without it the write is.
  enum class Cache { off, on };
  RbdFloor(const std::string& conf, const std::string& pool, Cache cache);
  ~RbdFloor();
  RbdFloor(const RbdFloor&) = delete;
  RbdFloor& operator=(const RbdFloor&) = delete;

  void open(const std::string& image, std::uint64_t size_bytes);
  void close();
  /// In a circle around the image.
  void write();
  void read(std::uint64_t offset_bytes, std::uint64_t length_bytes);

private:
  const RbdLibrary& library_;
  const decltype(&::rbd_write) write_;
  const decltype(&::rbd_flush) flush_;
  rados_t cluster_ = nullptr;
  rados_ioctx_t pool_ = nullptr;
  rbd_image_t image_ = nullptr;
  std::uint64_t size_bytes_ = 0;
  std::uint64_t count_ = 0;
  std::vector<char> buffer_;
};

} // namespace vnvram::bench
