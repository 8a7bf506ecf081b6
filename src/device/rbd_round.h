// What one call has under way on an RBD image.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "device/rbd_handle.h"

namespace vnvram {

struct RbdRequest {
  enum class Kind { read, write, flush };
  Kind kind = Kind::read;
  std::uint64_t offset_bytes = 0;
  std::span<std::byte> into = {};       ///< Of read.
  std::span<const std::byte> from = {}; ///< Of write.
};

/// Requests that are under way together, in no order: librbd has several threads. It may come back
/// to them when nobody waits any more, so their bytes are the round's own.
class RbdRound {
public:
  static std::shared_ptr<RbdRound> send(const RbdHandle& image,
                                        std::span<const RbdRequest> requests);

  /// False: not all of them have an answer.
  bool wait_until(std::chrono::steady_clock::time_point deadline);
  /// Of the one with this index, when it has its answer: bytes that were read, or a negative errno.
  [[nodiscard]] ssize_t result(std::size_t index) const { return results_[index]; }
  [[nodiscard]] std::span<const std::byte> read_bytes(std::size_t index) const {
    return read_bytes_[index];
  }

private:
  struct UnderWay;
  explicit RbdRound(std::size_t count) : pending_(count), results_(count, 0), read_bytes_(count) {}
  static int send_one(const RbdHandle& image, const RbdRequest& request,
                      std::unique_ptr<UnderWay> under_way);
  static void answered(rbd_completion_t completion, void* under_way);
  void has_answer(std::size_t index, ssize_t result, std::vector<std::byte> bytes);

  std::mutex mutex_;
  std::condition_variable answered_;
  std::size_t pending_;
  std::vector<ssize_t> results_;
  std::vector<std::vector<std::byte>> read_bytes_;
};

} // namespace vnvram
