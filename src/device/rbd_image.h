// One open RBD image, used by any number of threads: whoever has a request waits for its answer,
// for as long as the deadline allows.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "device/rbd_handle.h"
#include "vnvram/open_device.h"
#include "vnvram/result.h"

namespace vnvram {

struct RbdRequest {
  enum class Kind { read, write, flush };
  Kind kind = Kind::read;
  std::uint64_t offset_bytes = 0;
  std::span<std::byte> into = {};       ///< Of read.
  std::span<const std::byte> from = {}; ///< Of write.
};

/// It is given up for good with the first request that fails, but for a read that only met damage:
/// every later call fails with that first cause, so that nothing is called a success after
/// something of which nobody knows whether it was done. If that is so at the end, the cluster is
/// asked to shut this client out, so that nothing of it lands when the next owner is there. What
/// librbd does without a deadline (the lock, the closing) is left behind when it takes too long.
class RbdImage {
public:
  /// Errors: absent, read_only (a snapshot, to be written to), unsupported (what the
  /// cluster's administrators have set for it or its pool leaves it without safety), io.
  static Result<std::unique_ptr<RbdImage>> open(std::unique_ptr<RbdCluster> cluster, Access access);
  RbdImage(const RbdImage&) = delete;
  RbdImage& operator=(const RbdImage&) = delete;
  ~RbdImage();

  [[nodiscard]] const std::string& name() const { return cluster().name(); }
  /// Whether Ceph's exclusive lock is one of its features: then nobody writes without it. An image
  /// that loses the feature while it is open for writing is given up.
  [[nodiscard]] bool has_lock() const { return has_lock_; }
  Result<std::uint64_t> size_bytes() const;

  /// From any thread: all of them are under way together. Returns when there is no answer that
  /// could still come, or the deadline has passed.
  Status run(std::span<const RbdRequest> requests);

  /// Ceph's exclusive lock, for good: not given to who asks for it. The lock of a dead owner is
  /// waited for. Errors: in_use, io.
  Status lock();
  void unlock();
  /// See shut_out_other_clients().
  Status shut_out_owner();
  /// Grows it.
  Status resize(std::uint64_t size_bytes);

private:
  struct Round;
  struct UnderWay;
  explicit RbdImage(std::shared_ptr<RbdHandle> handle) : handle_(std::move(handle)) {}
  [[nodiscard]] const RbdCluster& cluster() const { return handle_->cluster(); }
  static void answered(rbd_completion_t completion, void* under_way);

  Status learn();
  [[nodiscard]] Status check_usable();
  Status check_lock_feature();
  int send(const RbdRequest& request, const std::shared_ptr<Round>& round, std::size_t index);
  Status judge(std::span<const RbdRequest> requests, Round& round);
  [[nodiscard]] std::string words_for(const RbdRequest& request) const;
  Status give_up(const Error& error, bool is_open_question);
  [[nodiscard]] Error locked_by_another(int result) const;
  [[nodiscard]] Status check_lockers() const;
  struct Locker;
  /// Who has its lock.
  [[nodiscard]] Result<std::optional<Locker>> locker() const;

  std::shared_ptr<RbdHandle> handle_;
  bool has_lock_ = false;
  bool needs_lock_ = false; ///< To be written to, with the lock.
  std::mutex mutex_;        ///< Guards the next.
  std::optional<Error> given_up_;
};

} // namespace vnvram
