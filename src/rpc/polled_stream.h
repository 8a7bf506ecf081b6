// A socket for Cap'n Proto on which somebody else polls.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include <kj/async-io.h>
#include <poll.h>

#include "rpc/message_framing.h"

namespace vnvram {

// Cap'n Proto keeps its streams by their dynamic type and needs no virtual destructor for it.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"
/// Nothing happens in it by itself: whoever waits for an answer polls on the socket and calls
/// advance(). So no thread is needed that passes messages on, which would cost each call two
/// switches of threads; and what is written goes out together, when send_output() says so.
///
/// Threads: one at a time, in the scope of the event loop.
class PolledStream final : public kj::AsyncIoStream {
public:
  enum class Order {
    as_it_comes,
    answers_first, ///< Nothing is taken while something waits to be sent: answers do not pile up.
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
    return takes_input() && received_begin_ == received_end_;
  }
  /// What has come already can be taken further, without polling.
  [[nodiscard]] bool can_go_on() const {
    return reading_.done.get() != nullptr && received_begin_ < received_end_ && takes_input();
  }
  /// What has come ends with a message.
  [[nodiscard]] bool is_between_messages() const { return framing_.is_between_messages(); }
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
  void read_on();
  /// Returns what recv(2) does.
  std::ptrdiff_t receive(kj::byte* buffer, std::size_t max_bytes);
  std::size_t take_received(kj::byte* buffer, std::size_t max_bytes);
  void break_off(const char* what);

  const int socket_;
  const Order order_;
  MessageFraming framing_;
  std::vector<kj::byte> received_;
  std::size_t received_begin_ = 0; ///< What nobody has taken yet.
  std::size_t received_end_ = 0;
  std::uint64_t received_count_bytes_ = 0;
  std::vector<kj::byte> output_;
  std::size_t output_begin_ = 0;
  Reading reading_; ///< Under way if it has a `done`.
  bool ended_ = false;
  kj::Maybe<kj::Exception> broken_;
};
#pragma GCC diagnostic pop

} // namespace vnvram
