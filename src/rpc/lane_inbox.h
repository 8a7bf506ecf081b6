// Puts together the messages that come by a lane for changes (owner.capnp).
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <utility>

#include <capnp/common.h>
#include <kj/array.h>

namespace vnvram {

/// Threads: one at a time, as the stream that it is part of.
class LaneInbox {
public:
  using Taker = std::function<void(kj::Array<capnp::word> message)>;

  /// Messages are given to it from now on. What it throws goes through.
  void open(Taker take) { take_ = std::move(take); }
  [[nodiscard]] bool is_open() const { return take_ != nullptr; }

  /// A message begins with this header (lane_frame.h). False: it has a length that none has.
  [[nodiscard]] bool begin(std::span<const std::byte> header);
  /// Of the one that has begun.
  [[nodiscard]] std::size_t missing_bytes() const {
    return message_.asBytes().size() - done_bytes_;
  }
  /// The next bytes, as many as it is missing. Returns how many.
  std::size_t take(std::span<const std::byte> bytes);
  /// The same without a copy: where its next bytes are to be received, and how many came.
  [[nodiscard]] kj::ArrayPtr<kj::byte> place() {
    return message_.asBytes().slice(done_bytes_, message_.asBytes().size());
  }
  void note_received(std::size_t count_bytes);

private:
  Taker take_;
  kj::Array<capnp::word> message_;
  std::size_t done_bytes_ = 0;
};

} // namespace vnvram
