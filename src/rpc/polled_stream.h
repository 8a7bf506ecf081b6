// A socket for Cap'n Proto on which somebody else polls.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <capnp/message.h>
#include <kj/async-io.h>
#include <poll.h>

#include "rpc/lane_inbox.h"
#include "rpc/message_framing.h"
#include "rpc/output_bytes.h"

namespace vnvram {

// Cap'n Proto keeps its streams by their dynamic type and needs no virtual destructor for it.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"
/// Nothing happens in it by itself: whoever waits for an answer polls on the socket and calls
/// advance(). So no thread is needed that passes messages on, which would cost each call two
/// switches of threads; and what is written goes out together, when send_output() says so.
///
/// Beside its calls a session may have a lane for changes (owner.capnp), whose messages go past
/// Cap'n Proto's streams. Both kinds are taken in the order in which they come.
///
/// Threads: one at a time, in the scope of the event loop.
class PolledStream final : public kj::AsyncIoStream {
public:
  enum class Order {
    as_it_comes,
    /// Nothing is taken while something waits to be sent: answers do not pile up. Those that the
    /// other end does not take any more are dropped, and what it has sent is taken to its end.
    answers_first,
  };

  /// The socket outlives it.
  explicit PolledStream(int socket, Order order = Order::as_it_comes)
      : socket_(socket), order_(order), received_(receive_max_bytes) {}

  /// What to poll for.
  [[nodiscard]] short poll_events() const {
    const int output = has_output() ? POLLOUT : 0;
    return static_cast<short>(takes_more() ? output | POLLIN : output);
  }
  [[nodiscard]] bool has_output() const { return !output_.empty(); }
  /// What comes next is taken; if not, something waits to be sent, or nobody reads what has come.
  [[nodiscard]] bool takes_more() const {
    return !is_over() && takes_input() && !has_calls() && !can_sort();
  }
  /// What has come already can be taken further, without polling.
  [[nodiscard]] bool can_go_on() const {
    const bool is_read = reading_.done.get() != nullptr && (has_calls() || is_over());
    return takes_input() && (is_read || (broken_ == nullptr && !has_calls() && can_sort()));
  }
  /// What has come ends with a message.
  [[nodiscard]] bool is_between_messages() const {
    return framing_.is_between_messages() && lane_.missing_bytes() == 0 &&
           calls_end_ == received_end_;
  }
  /// How much has come since this was asked last.
  [[nodiscard]] std::uint64_t take_received_count_bytes() {
    return std::exchange(received_count_bytes_, 0);
  }
  /// Nothing comes any more.
  [[nodiscard]] bool is_over() const { return ended_ || broken_ != nullptr; }
  /// Takes what has come, and sends what waits, as far as that goes now. Returns whether anything
  /// has come.
  bool advance();
  /// The second half alone.
  void send_output();

  /// Once it is open its messages are taken, within advance().
  [[nodiscard]] LaneInbox& lane() { return lane_; }
  void write_to_lane(capnp::MessageBuilder& message);
  /// The connection is over, for who reads on and for who writes.
  void break_off(const std::string& why);

  kj::Promise<std::size_t> tryRead(void* buffer, std::size_t min_bytes,
                                   std::size_t max_bytes) override;
  kj::Promise<void> write(const void* buffer, std::size_t size_bytes) override;
  kj::Promise<void> write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) override;
  kj::Promise<void> whenWriteDisconnected() override { return kj::NEVER_DONE; }
  void shutdownWrite() override;
  void abortRead() override;

private:
  static constexpr std::size_t receive_max_bytes = std::size_t{16} << 10U;

  struct Reading {
    kj::byte* buffer = nullptr;
    std::size_t done_bytes = 0;
    std::size_t min_bytes = 0;
    std::size_t max_bytes = 0;
    kj::Own<kj::PromiseFulfiller<std::size_t>> done;
  };

  [[nodiscard]] bool takes_input() const { return order_ == Order::as_it_comes || !has_output(); }
  [[nodiscard]] bool has_calls() const { return received_begin_ < calls_end_; }
  /// It is known what comes behind them: of a message that begins it takes the first bytes.
  [[nodiscard]] bool can_sort() const;
  void read_on();
  /// Returns what recv(2) does.
  std::ptrdiff_t receive(kj::byte* buffer, std::size_t max_bytes);
  /// Into its place, if that is known, so that nothing large is copied.
  std::ptrdiff_t receive_more();
  std::size_t take_received(kj::byte* buffer, std::size_t max_bytes);
  [[nodiscard]] std::span<const std::byte> unsorted() const;
  /// What has come, as far as the next message that is of another kind.
  void sort();
  void sort_calls();
  void sort_lane();

  const int socket_;
  const Order order_;
  MessageFraming framing_; ///< Of the calls.
  std::vector<kj::byte> received_;
  std::size_t received_begin_ = 0; ///< Calls that nobody has read yet,
  std::size_t calls_end_ = 0;      ///< and what is not sorted yet.
  std::size_t received_end_ = 0;
  std::uint64_t received_count_bytes_ = 0;
  LaneInbox lane_;
  OutputBytes output_;
  Reading reading_; ///< Under way if it has a `done`.
  bool ended_ = false;
  kj::Maybe<kj::Exception> broken_;
};
#pragma GCC diagnostic pop

} // namespace vnvram
