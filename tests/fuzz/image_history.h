// A small image's life, step by step: what was on the device, and what the store held.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "support/random.h"
#include "vnvram/key_ring.h"

namespace vnvram {
class Store;
class MemoryDisk;
} // namespace vnvram

namespace vnvram::fuzz {

using Bytes = std::vector<std::byte>;
using Contents = std::map<std::string, Bytes>;

/// Each is made once in a process. It has several owners, some of which die without closing,
/// records of one and of several blobs, rings that have wrapped around, and a directory of two
/// pages.
class ImageHistory {
public:
  static const ImageHistory& plain();
  /// Of an encrypted image: with two key slots, public metadata, and an exchange of its data key.
  static const ImageHistory& encrypted();

  /// The device after each step, oldest first.
  [[nodiscard]] const std::vector<Bytes>& images() const { return images_; }
  /// One that was closed in good order.
  [[nodiscard]] const Bytes& last_closed() const { return images_[last_closed_]; }
  /// What the blobs held in a generation; nullptr if there was none of that number.
  [[nodiscard]] const Contents* contents_of(std::uint64_t generation) const;
  /// What opens its images: one that knows no data key yet.
  [[nodiscard]] KeyRing keys() const { return KeyRing(sources_); }
  [[nodiscard]] const std::vector<KeySource>& sources() const { return sources_; }

private:
  explicit ImageHistory(bool is_encrypted);
  void live();
  void use(Store& store, MemoryDisk& disk);

  test::Random random_{1};
  std::vector<KeySource> sources_;
  std::vector<Bytes> images_;
  std::size_t last_closed_ = 0;
  std::map<std::uint64_t, Contents> contents_;
};

} // namespace vnvram::fuzz
