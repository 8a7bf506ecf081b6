// One open RBD image, used by any number of threads: whoever has a request waits for its answer,
// for as long as the deadline allows.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "device/rbd_round.h"
#include "device/repeated_call.h"
#include "vnvram/open_device.h"
#include "vnvram/result.h"

namespace vnvram {

/// It is given up for good with the first request that fails, but for a read that only met damage:
/// every later call fails with that first cause, so that nothing is called a success after
/// something of which nobody knows whether it was done. Where that was a write, the cluster is
/// asked at once to shut this client out, so that nothing of it lands when the next owner is there.
/// What does not come back in time is left behind (call_in_time): opening, locking and closing,
/// too.
class RbdImage {
public:
  /// Errors: absent, read_only (a snapshot, to be written to), unsupported (what the
  /// cluster's administrators have set for it or its pool leaves it without safety), io.
  static Result<std::unique_ptr<RbdImage>> open(std::shared_ptr<RbdCluster> cluster, Access access);
  RbdImage(const RbdImage&) = delete;
  RbdImage& operator=(const RbdImage&) = delete;
  ~RbdImage();

  [[nodiscard]] const std::string& name() const { return cluster().name(); }
  /// Whether Ceph's exclusive lock is one of its features: then nobody writes without it. An image
  /// that gains or loses the feature while it is open for writing is given up, as is one that is
  /// made smaller.
  [[nodiscard]] bool has_lock() const { return has_lock_; }
  Result<std::uint64_t> size_bytes();
  /// As far as it is known, without asking.
  [[nodiscard]] Result<std::uint64_t> known_size_bytes();

  /// From any thread: all of them are under way together. Returns when there is no answer that
  /// could still come, or the deadline has passed.
  Status run(std::span<const RbdRequest> requests);

  /// See take_rbd_lock(). `note`: see DeviceOptions. Errors: in_use, io.
  Status lock(const std::function<void(const std::string& what)>& note = {});
  void unlock();
  /// See shut_out_other_clients().
  Status shut_out_owner();
  /// Grows it.
  Status resize(std::uint64_t size_bytes);

private:
  using Time = Clock::Time;
  RbdImage(std::shared_ptr<RbdHandle> handle, Access access, const RbdProperties& properties);
  [[nodiscard]] const RbdCluster& cluster() const { return handle_->cluster(); }
  static Time now();

  [[nodiscard]] Status check_usable();
  [[nodiscard]] Status check_unchanged();
  [[nodiscard]] Status check_lock();
  Status judge(std::span<const RbdRequest> requests, const RbdRound& round);
  static std::string words_for(const RbdRequest& request);
  [[nodiscard]] Error error(std::string_view what, int result) const;
  Status give_up(const Error& why, bool is_open_question);

  std::shared_ptr<RbdHandle> handle_;
  const bool is_writable_;
  const bool has_lock_;
  /// None: it belongs to the parent of this process.
  std::unique_ptr<RepeatedCall<Result<RbdProperties>>> asking_;
  std::atomic<std::uint64_t> size_bytes_;
  std::atomic<Time> checked_at_;
  std::atomic<bool> is_locked_ = false;
  std::mutex mutex_; ///< Guards the next.
  std::optional<Error> given_up_;
};

} // namespace vnvram
