// A connection to the admin socket that is not waited for without end.
#pragma once

#include <chrono>
#include <cstddef>

#include <kj/async-io.h>
#include <kj/timer.h>

#include "tpm/admin_clients.h"
#include "tpm/admin_framing.h"

namespace vnvram {

// Cap'n Proto keeps its streams by their dynamic type and needs no virtual destructor for it.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"
/// A client may be silent between two messages for as long as it likes. In the middle of one it has
/// to go on; if it does not, reading fails, and Cap'n Proto closes the connection.
class AdminStream final : public kj::AsyncIoStream {
public:
  using Clock = std::chrono::steady_clock;

  /// Timer and clients, to which it belongs from now on, outlive it.
  AdminStream(kj::Own<kj::AsyncIoStream> inner, kj::Timer& timer,
              std::chrono::milliseconds unfinished_max, AdminClients& clients)
      : inner_(kj::mv(inner)), timer_(timer), unfinished_max_(unfinished_max), clients_(clients) {
    clients_.add(*this);
  }
  AdminStream(const AdminStream&) = delete;
  AdminStream& operator=(const AdminStream&) = delete;
  ~AdminStream() noexcept(false) { clients_.remove(*this); }

  /// When a byte of the client's came last; at first, when it was connected.
  [[nodiscard]] Clock::time_point last_active() const { return last_active_; }
  /// Something came, and nothing went since. What wants no answer counts as well.
  [[nodiscard]] bool waits_for_answer() const { return waits_for_answer_; }
  /// Reading fails, now or at its next attempt.
  void give_up();

  kj::Promise<std::size_t> tryRead(void* buffer, std::size_t min_bytes,
                                   std::size_t max_bytes) override;
  kj::Promise<void> write(const void* buffer, std::size_t size_bytes) override {
    waits_for_answer_ = false;
    return inner_->write(buffer, size_bytes);
  }
  kj::Promise<void> write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) override {
    waits_for_answer_ = false;
    return inner_->write(pieces);
  }
  kj::Promise<void> whenWriteDisconnected() override { return inner_->whenWriteDisconnected(); }
  void shutdownWrite() override { inner_->shutdownWrite(); }
  void abortRead() override { inner_->abortRead(); }

private:
  /// `done_bytes` are in the buffer already.
  kj::Promise<std::size_t> read_on(kj::byte* buffer, std::size_t done_bytes, std::size_t min_bytes,
                                   std::size_t max_bytes);

  kj::Own<kj::AsyncIoStream> inner_;
  kj::Timer& timer_;
  std::chrono::milliseconds unfinished_max_;
  AdminClients& clients_;
  AdminFraming framing_;
  Clock::time_point last_active_ = Clock::now();
  bool waits_for_answer_ = false;
  bool given_up_ = false;
  kj::Own<kj::PromiseFulfiller<std::size_t>> end_; ///< Of the read that is under way.
};
#pragma GCC diagnostic pop

} // namespace vnvram
