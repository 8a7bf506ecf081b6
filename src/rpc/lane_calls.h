// Changes that go by the lane of a session, and their answers: the client's end (owner.capnp).
#pragma once

#include <cstdint>
#include <functional>
#include <map>

#include <kj/array.h>

#include "rpc/polled_stream.h"
#include "vnvram/result.h"
#include "vnvram/transaction.h"

namespace vnvram {

/// Threads: one at a time, as the stream.
class LaneCalls {
public:
  using Answered = std::function<void(const Result<std::uint64_t>& generation)>;

  /// The stream outlives it.
  explicit LaneCalls(PolledStream& stream) : stream_(stream) {}
  LaneCalls(const LaneCalls&) = delete;
  LaneCalls& operator=(const LaneCalls&) = delete;

  /// The owner has opened it.
  void open();
  [[nodiscard]] bool is_open() const { return stream_.lane().is_open(); }
  /// Puts it behind what the stream sends next. `answered` is called from within its advance(), in
  /// the order of the answers. Returns a number for forget().
  std::uint32_t send(const Transaction& transaction, bool deferred, Answered answered);
  /// Its answer is of no interest any more.
  void forget(std::uint32_t number) { waiting_.erase(number); }

private:
  void take(kj::ArrayPtr<const capnp::word> message);

  PolledStream& stream_;
  std::uint32_t last_number_ = 0;
  std::map<std::uint32_t, Answered> waiting_;
};

} // namespace vnvram
