// Bytes that must not stay in memory.
#pragma once

#include <cstddef>
#include <span>
#include <utility>
#include <vector>

namespace vnvram {

/// Overwrites memory in a way that no optimization drops. Nothing to overwrite is fine, also
/// without an address.
void wipe_memory(std::span<std::byte> memory);

/// Keeps memory out of swap and core dumps, as long as the process lives; it may do the same to
/// what lies beside it. Harmless where the system does not let it.
void lock_memory(std::span<const std::byte> memory);

/// Overwrites them when it goes.
class SecretBytes {
public:
  SecretBytes() = default;
  explicit SecretBytes(std::vector<std::byte> bytes) : bytes_(std::move(bytes)) {}
  explicit SecretBytes(std::span<const std::byte> bytes) : bytes_(bytes.begin(), bytes.end()) {}
  SecretBytes(SecretBytes&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
  SecretBytes& operator=(SecretBytes&& other) noexcept {
    if (this != &other) {
      wipe();
      bytes_ = std::exchange(other.bytes_, {});
    }
    return *this;
  }
  SecretBytes(const SecretBytes&) = delete;
  SecretBytes& operator=(const SecretBytes&) = delete;
  ~SecretBytes() { wipe(); }

  [[nodiscard]] const std::vector<std::byte>& get() const { return bytes_; }
  /// For those that are kept: see lock_memory().
  void lock() const { lock_memory(bytes_); }
  /// The caller sees to it that they do not stay.
  [[nodiscard]] std::vector<std::byte> release() { return std::exchange(bytes_, {}); }

private:
  void wipe() { wipe_memory(bytes_); }

  std::vector<std::byte> bytes_;
};

} // namespace vnvram
