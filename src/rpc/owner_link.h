// The connection to an image's owner, for callers that know no event loop.
#pragma once

#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <thread>

#include <capnp/rpc-twoparty.h>
#include <kj/async-io.h>

#include "base/unique_fd.h"
#include "rpc/owner.capnp.h"
#include "vnvram/result.h"

namespace vnvram {

/// Has a thread of its own, which waits for the socket and for nothing else. Once the connection is
/// lost every call fails: whoever wants another one makes another link.
///
/// Threads: call() by any, at any time before the destructor.
class OwnerLink {
public:
  /// Waits for the other end's first sign of life. Errors: io (none came within 5 s, or there is
  /// something else that listens there).
  static Result<std::unique_ptr<OwnerLink>> open(UniqueFd socket);
  OwnerLink(const OwnerLink&) = delete;
  OwnerLink& operator=(const OwnerLink&) = delete;
  /// Calls under way fail.
  ~OwnerLink();

  /// Runs `call(rpc::Owner::Client&)`, which returns a kj::Promise<Result<T>>, on the link's thread,
  /// and waits for the result. Errors: its own; io: the connection is lost, and what was asked for
  /// may or may not have been done; unsupported: the other end does not know it.
  template <typename T, typename Call> Result<T> ask(Call call) {
    try {
      return executor_->executeSync([this, &call] { return call(*owner_); });
    } catch (const kj::Exception& exception) {
      return lost(exception);
    }
  }
  /// Calls `tell`, on the link's thread, with what fails at the owner from now on without anybody
  /// asking for it, and with the loss of the connection. Once.
  Status follow_failures(std::function<void(const Error&)> tell);


private:
  explicit OwnerLink(UniqueFd socket);

  static Error lost(const kj::Exception& exception);
  void run(std::promise<Status> ready);
  kj::Promise<void> follow(std::uint64_t after);

  const UniqueFd socket_;
  kj::Own<const kj::Executor> executor_;
  kj::Own<kj::CrossThreadPromiseFulfiller<void>> end_;
  // The thread's own.
  std::optional<rpc::Owner::Client> owner_;
  std::function<void(const Error&)> tell_;
  std::optional<kj::Promise<void>> following_;
  std::jthread thread_;
};

} // namespace vnvram
