// One connection to an NBD server: requests, their answers, their deadlines.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "device/nbd_library.h"
#include "vnvram/result.h"

namespace vnvram {

struct NbdTarget;

/// Whether the server has space for a stretch of the export.
struct NbdExtent {
  std::uint64_t length_bytes = 0;
  bool is_hole = false;
};

/// What is sent at once; no larger than the server takes.
struct NbdRequest {
  enum class Kind { read, write, write_durable, flush, block_status };
  Kind kind = Kind::flush;
  std::uint64_t offset_bytes = 0;
  std::uint64_t length_bytes = 0;
  std::byte* into = nullptr;
  const std::byte* from = nullptr;
  /// For block_status: gets the extents from offset_bytes on, one at least.
  std::vector<NbdExtent>* extents = nullptr;
};

/// Threads: run() may be called by several at the same time, and all their requests are under way
/// together. libnbd's own blocking calls would take turns, so its asynchronous ones are used: one
/// of those who wait polls the socket for all, the others wait for it.
///
/// Once given up (lost, or a deadline passed) nothing is sent any more, and run() fails with the
/// cause of that.
class NbdConnection {
public:
  /// Connects and negotiates. Errors: see NbdDevice::connect.
  static Result<std::unique_ptr<NbdConnection>> connect(const NbdTarget& target);
  /// No run() is under way.
  ~NbdConnection();
  NbdConnection(const NbdConnection&) = delete;
  NbdConnection& operator=(const NbdConnection&) = delete;

  struct Export {
    std::uint64_t size_bytes = 0;
    /// The smallest request that the server takes, and the largest.
    std::uint64_t request_size_min_bytes = 1;
    std::uint64_t request_size_max_bytes = 0;
    bool read_only = false;
    bool can_flush = false;
    bool can_fua = false;
    bool can_block_status = false; ///< Only of a server of our own: the others are not asked.
  };
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const Export& properties() const { return properties_; }

  /// Sends all of them, in any order, and returns when each has its answer: the first error, if one
  /// has failed. When it returns nobody uses their buffers any more.
  Status run(std::span<const NbdRequest> requests);

private:
  using Clock = std::chrono::steady_clock;
  struct Close {
    const NbdLibrary* library = nullptr;
    void operator()(nbd_handle* handle) const { library->close(handle); }
  };

  NbdConnection(const NbdLibrary& library, const NbdTarget& target);
  Status start(const NbdTarget& target, UniqueFd socket);
  Status negotiate(Clock::time_point deadline);
  Status learn_properties();

  // With mutex_ held.
  Result<std::int64_t> send(const NbdRequest& request);
  Status wait(std::unique_lock<std::mutex>& lock, const NbdRequest& request, std::int64_t cookie);
  void drive(std::unique_lock<std::mutex>& lock, Clock::time_point deadline);
  void handle_events(short events);
  void give_up(ErrorKind kind, const std::string& cause);
  void wake_driver() const;
  [[nodiscard]] Error connect_error() const;
  [[nodiscard]] Error failure(const NbdRequest& request, const std::string& cause,
                              ErrorKind kind = ErrorKind::io) const;

  const NbdLibrary& library_;
  const std::string name_;
  const std::chrono::milliseconds timeout_;
  Export properties_;

  std::mutex mutex_; ///< Guards what follows. Not held while polling.
  std::unique_ptr<nbd_handle, Close> handle_;
  UniqueFd wake_; ///< Wakes the one who polls: there is something to send, or no connection.
  bool driven_ = false;
  std::condition_variable news_; ///< Answers came, or nobody polls now.
  std::optional<Error> given_up_;
};

} // namespace vnvram
