// A file descriptor that closes itself.
#pragma once

#include <unistd.h>
#include <utility>

namespace vnvram::cli {

class File {
public:
  File() = default;
  explicit File(int descriptor) : descriptor_(descriptor) {}
  File(File&& other) noexcept : descriptor_(other.release()) {}
  File& operator=(File&& other) noexcept {
    close();
    descriptor_ = other.release();
    return *this;
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() { close(); }

  [[nodiscard]] bool is_open() const { return descriptor_ >= 0; }
  [[nodiscard]] int descriptor() const { return descriptor_; }
  [[nodiscard]] int release() { return std::exchange(descriptor_, -1); }

private:
  void close() {
    if (is_open()) {
      ::close(release());
    }
  }

  int descriptor_ = -1;
};

} // namespace vnvram::cli
