// What a socket has not taken yet.
#pragma once

#include <cstddef>
#include <vector>

#include <kj/array.h>

namespace vnvram {

/// In the order in which it was added. Once it is closed nobody takes anything any more.
class OutputBytes {
public:
  [[nodiscard]] bool empty() const { return bytes_.empty(); }
  [[nodiscard]] kj::ArrayPtr<const kj::byte> waiting() const {
    return kj::arrayPtr(bytes_.data() + begin_, bytes_.size() - begin_);
  }
  void add(kj::ArrayPtr<const kj::byte> bytes) {
    if (!closed_) {
      bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    }
  }
  /// So much of what waits was taken.
  void note_taken(std::size_t count_bytes) {
    begin_ += count_bytes;
    if (begin_ == bytes_.size()) {
      clear();
    }
  }
  void close() {
    closed_ = true;
    clear();
  }

private:
  void clear() {
    bytes_.clear();
    begin_ = 0;
  }

  std::vector<kj::byte> bytes_;
  std::size_t begin_ = 0;
  bool closed_ = false;
};

} // namespace vnvram
