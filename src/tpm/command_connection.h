// One client's stream of TPM commands and responses.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include <sys/types.h>
#include <sys/uio.h>

#include "base/unique_fd.h"
#include "vnvram/result.h"

namespace vnvram {

/// Cuts the stream into commands by the length that each command states, whatever pieces it arrives
/// in. A client that sends nonsense gets an error for it and holds up nobody: nothing here blocks.
///
/// A command may come with a head of nine bytes in front (the number 8, a locality, the command's
/// length), as some TPM software stacks send it; its response then has a length in front and a zero
/// behind.
class CommandConnection {
public:
  using Clock = std::chrono::steady_clock;

  /// `socket`: or a device that does not block, and takes a response whole. `accepts_heads`: of the
  /// two TPM versions only 2.0 knows those. `command_max_bytes`: the longest command that the TPM
  /// takes, at least a header.
  CommandConnection(UniqueFd socket, bool accepts_heads, std::size_t command_max_bytes);

  /// What of the stream is in memory: for another process that goes on with the socket.
  struct Rest {
    std::vector<std::byte> unread;   ///< What has come, and was not run.
    std::uint64_t discard_bytes = 0; ///< What is still to come of a command that is too long.
    std::vector<std::byte> unsent;   ///< Of a response.
  };
  /// `waits`: what next() has returned last was not run.
  [[nodiscard]] Rest rest(bool waits) const;
  /// Before anything else. Errors: invalid_argument (nobody has as much left to do).
  Status go_on(const Rest& rest);

  struct Command {
    std::span<std::byte>
        bytes; ///< Valid until the next call. Empty: its length can never be right.
    std::optional<std::uint8_t> locality; ///< If the command's head names one.
    bool with_head = false;
  };

  [[nodiscard]] int fd() const { return socket_.get(); }
  /// What to poll for: while a response could not be sent in full, no command is read.
  [[nodiscard]] short poll_events() const;
  /// Takes what has arrived. False: the peer is gone.
  [[nodiscard]] bool receive();
  /// The next whole command, if there is one.
  [[nodiscard]] std::optional<Command> next();
  /// Sends a response, or keeps what the socket does not take. False: the peer is gone.
  [[nodiscard]] bool respond(const Command& command, std::span<const std::byte> response);
  /// Goes on with what respond() kept.
  [[nodiscard]] bool flush();
  [[nodiscard]] bool has_output() const { return !outbox_.empty(); }
  /// After next() had none: one has begun, and its end has not come.
  [[nodiscard]] bool is_unfinished() const {
    return outbox_.empty() && (begin_ != end_ || discard_bytes_ != 0);
  }
  /// When a byte came or went last, or stay_active() was called; at first, when it was connected.
  [[nodiscard]] Clock::time_point last_active() const { return last_active_; }
  /// It could not say anything, because it was not listened to.
  void stay_active() { last_active_ = Clock::now(); }

private:
  [[nodiscard]] std::span<std::byte> pending() {
    return std::span(inbox_).subspan(begin_, end_ - begin_);
  }
  void drop(std::size_t length_bytes);
  [[nodiscard]] ssize_t send_together(std::span<iovec> vectors) const;

  UniqueFd socket_;
  bool is_socket_;
  bool accepts_heads_;
  std::size_t command_max_bytes_;
  std::vector<std::byte> inbox_;
  Clock::time_point last_active_ = Clock::now();
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  /// Where, in the inbox, what next() has returned last begins, and how much it was.
  std::size_t last_begin_ = 0;
  std::size_t last_size_bytes_ = 0;
  std::uint64_t discard_bytes_ = 0; ///< What is still to come of a command that is too long.
  std::vector<std::byte> outbox_;
};

} // namespace vnvram
