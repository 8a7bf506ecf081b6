// A session whose messages go and come when the test says so.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include <capnp/rpc-twoparty.h>
#include <poll.h>

#include "base/unique_fd.h"
#include "rpc/lane_calls.h"
#include "rpc/owner.capnp.h"
#include "rpc/polled_stream.h"
#include "vnvram/result.h"

namespace vnvram::test {

class RawSession {
public:
  explicit RawSession(UniqueFd socket)
      : socket_(std::move(socket)), stream_(socket_.get()), lane_(stream_) {
    const kj::WaitScope scope(loop_);
    client_.emplace(stream_);
    owner_.emplace(client_->bootstrap().castAs<rpc::Owner>());
  }
  RawSession(const RawSession&) = delete;
  RawSession& operator=(const RawSession&) = delete;
  ~RawSession() {
    const kj::WaitScope scope(loop_);
    asked_.clear();
    owner_.reset();
    client_.reset();
  }

  [[nodiscard]] int socket() const { return socket_.get(); }
  /// Something is not sent yet, because the other end takes nothing.
  [[nodiscard]] bool has_output() const { return stream_.has_output(); }
  [[nodiscard]] std::size_t answer_count() const { return answer_count_; }
  template <typename Call> void ask(Call call) {
    kj::WaitScope scope(loop_);
    asked_.push_back(call(*owner_)
                         .then([this](auto&&) { ++answer_count_; })
                         .eagerlyEvaluate([](const kj::Exception&) {}));
    scope.poll();
    stream_.send_output();
  }
  /// What a call says that returns a promise of a Result, within a minute. Errors: its own;
  /// unsupported (the capability has no such call); io (no answer, or another exception).
  template <typename T, typename Call> Result<T> answer(Call call) {
    std::optional<Result<T>> said;
    {
      kj::WaitScope scope(loop_);
      asked_.push_back(
          call(*owner_)
              .then([&said](Result<T>&& result) { said.emplace(std::move(result)); },
                    [&said](kj::Exception&& exception) { said.emplace(error_of(exception)); })
              .eagerlyEvaluate(nullptr));
      scope.poll();
      stream_.send_output();
    }
    const bool answered = go_on(std::chrono::minutes(1), [&] { return said.has_value(); });
    const kj::WaitScope scope(loop_);
    asked_.pop_back();
    return answered ? *std::move(said) : Error(ErrorKind::io, "no answer");
  }
  /// To be opened when the owner has said that it is.
  [[nodiscard]] LaneCalls& lane() { return lane_; }
  void send_lane() { stream_.send_output(); }
  /// Asks for what the connection begins with once more, in place of what there was.
  void bootstrap_again() {
    const kj::WaitScope scope(loop_);
    owner_.emplace(client_->bootstrap().castAs<rpc::Owner>());
  }
  /// Until it is done, or for so long.
  bool go_on(std::chrono::milliseconds duration, const std::function<bool()>& done) {
    const auto until = std::chrono::steady_clock::now() + duration;
    kj::WaitScope scope(loop_);
    while (!done() && std::chrono::steady_clock::now() < until) {
      pollfd entry{.fd = socket_.get(), .events = stream_.poll_events(), .revents = 0};
      (void)::poll(&entry, 1, stream_.can_go_on() ? 0 : 10);
      stream_.advance();
      scope.poll();
    }
    return done();
  }

private:
  static Error error_of(const kj::Exception& exception) {
    const bool is_unknown = exception.getType() == kj::Exception::Type::UNIMPLEMENTED;
    return {is_unknown ? ErrorKind::unsupported : ErrorKind::io, exception.getDescription().cStr()};
  }

  const UniqueFd socket_;
  kj::EventLoop loop_;
  PolledStream stream_;
  LaneCalls lane_;
  std::optional<capnp::TwoPartyClient> client_;
  std::optional<rpc::Owner::Client> owner_;
  std::vector<kj::Promise<void>> asked_;
  std::size_t answer_count_ = 0;
};

} // namespace vnvram::test
