// The blobs of an image that a running owner has open.
#pragma once

#include <chrono>
#include <optional>

#include "backup/blob_source.h"
#include "rpc/owner_client.h"

namespace vnvram {

class OwnerSource final : public BlobSource {
public:
  /// The client outlives it.
  explicit OwnerSource(OwnerClient& owner) : owner_(owner) {}

  Result<Moment> changes(std::uint64_t after, std::uint64_t content_max_bytes) override {
    return owner_.changes(after, content_max_bytes);
  }
  Status read(const std::string& blob, std::uint64_t offset_bytes,
              std::span<std::byte> bytes) override {
    return owner_.read_settled(blob, offset_bytes, bytes);
  }
  /// What somebody holds already does not change either.
  Status hold() override {
    const Result<std::uint64_t> held = owner_.hold_alone(held_max);
    if (held) {
      number_ = *held;
    }
    return held || held.error().kind() == ErrorKind::in_use ? Status() : held.error();
  }
  void let_go() override {
    if (number_) {
      // If that fails, it ends by itself.
      static_cast<void>(owner_.release_own(*number_));
      number_.reset();
    }
  }

private:
  static constexpr std::chrono::seconds held_max{60};

  OwnerClient& owner_;
  std::optional<std::uint64_t> number_; ///< Of what this has held.
};

} // namespace vnvram
