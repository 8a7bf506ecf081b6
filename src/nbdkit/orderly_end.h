// The end of a nbdkit whose clients stay, and ask nothing more.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <thread>
#include <utility>

#include "base/unique_fd.h"
#include "vnvram/result.h"

namespace vnvram::nbdkit {

/// nbdkit answers at SIGTERM with an error whatever its clients ask for next, and waits until they
/// do or go. A guest takes that error for its disk's, and a machine that runs may ask nothing for
/// hours. Where somebody starts it again, or ends it with the machine, it does neither: requests
/// under way are carried out, what was answered is made durable, and the process ends. Who has no
/// answer then asks again on another connection, or is gone.
///
/// Threads: any.
class OrderlyEnd {
public:
  /// Of this process, of which there is one, by its next SIGTERM, of which nbdkit does not hear.
  /// `finish` makes all that was answered durable; it is called once, on a thread of its own.
  /// Errors: io (no descriptor left).
  static Result<std::unique_ptr<OrderlyEnd>> prepare(std::function<Status()> finish);
  OrderlyEnd(const OrderlyEnd&) = delete;
  OrderlyEnd& operator=(const OrderlyEnd&) = delete;
  /// The process ends by itself.
  ~OrderlyEnd();

  /// For as long as one is carried out. None begins any more once the end has come.
  [[nodiscard]] std::shared_lock<std::shared_mutex> request() {
    return std::shared_lock(requests_);
  }

private:
  OrderlyEnd(UniqueFd wake_fd, std::function<Status()> finish);
  void wait_for_signal();

  const UniqueFd wake_fd_;
  const std::function<Status()> finish_;
  std::shared_mutex requests_;
  bool is_over_ = false; ///< Before the thread is woken.
  std::jthread thread_;
};

} // namespace vnvram::nbdkit
