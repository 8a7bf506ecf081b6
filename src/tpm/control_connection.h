// One client of the control socket: its bytes in and out.
#pragma once

#include <sys/socket.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/unique_fd.h"
#include "tpm/control_protocol.h"
#include "tpm/control_service.h"
#include "vnvram/result.h"

namespace vnvram {

/// Requests may arrive in any pieces. A body is taken up to the length that the service has agreed
/// to; a longer one is dropped as it comes, so a client's numbers never decide how much memory is
/// used. Nothing here blocks.
class ControlConnection {
public:
  using Clock = std::chrono::steady_clock;

  ControlConnection(UniqueFd socket, ControlClient client);

  /// What of the stream is in memory while nothing is unfinished: for another process that goes on
  /// with the socket.
  struct Rest {
    bool padding_possible = false;
    std::vector<std::byte> unread; ///< No more than that.
  };
  [[nodiscard]] Rest rest() const { return {padding_possible_, inbox_}; }
  /// Before anything else. Errors: invalid_argument (it is more than that).
  Status go_on(Rest rest);
  /// Nothing has begun that has not ended, and all answers are taken.
  [[nodiscard]] bool is_at_rest() const { return outbox_.empty() && !is_unfinished(); }

  [[nodiscard]] int fd() const { return socket_.get(); }
  [[nodiscard]] const ControlClient& client() const { return client_; }
  [[nodiscard]] short poll_events() const;
  /// Reads, or writes, what can be, and has the service answer. False: the client is gone.
  [[nodiscard]] bool advance(ControlService& service);
  /// A command has begun, and its end has not come.
  [[nodiscard]] bool is_unfinished() const;
  /// When a byte came or went last; at first, when it was connected.
  [[nodiscard]] Clock::time_point last_active() const { return last_active_; }

private:
  [[nodiscard]] bool receive();
  [[nodiscard]] bool send();
  void take_passed_fd(const msghdr& message);
  /// One request, or what there is of a body. False: more bytes are needed.
  [[nodiscard]] bool process(ControlService& service);
  [[nodiscard]] bool process_head(ControlService& service);
  [[nodiscard]] bool process_body(ControlService& service);
  void take_from_inbox(std::size_t length_bytes);
  void finish_body(ControlService& service);

  UniqueFd socket_;
  ControlClient client_;
  UniqueFd passed_;
  Clock::time_point last_active_ = Clock::now();
  std::vector<std::byte> inbox_;
  std::vector<std::byte> outbox_;
  std::size_t sent_bytes_ = 0;
  bool padding_possible_ = false; ///< After a command that some clients pad.
  ControlRequest request_;        ///< The one whose body is coming.
  bool in_body_ = false;
  std::uint64_t body_missing_bytes_ = 0;
  TpmResult body_result_ = tpm_success; ///< Not success: the rest is dropped.
  std::vector<std::byte> body_;
};

} // namespace vnvram
