// The lane of a session for changes: the owner's end (owner.capnp).
#pragma once

#include <cstddef>
#include <optional>

#include <capnp/common.h>
#include <kj/array.h>

#include "rpc/polled_stream.h"
#include "serve/session_changes.h"
#include "vnvram/result.h"

namespace vnvram {

/// Its changes wait in the session's queue like those that are calls, and are counted like calls.
///
/// Threads: the session's.
class ChangeLane {
public:
  /// Both outlive it.
  ChangeLane(SessionParts& session, PolledStream& stream) : session_(session), stream_(stream) {}
  ChangeLane(const ChangeLane&) = delete;
  ChangeLane& operator=(const ChangeLane&) = delete;

  /// With the rights of these changes. Errors: in_use (it is open).
  Status open(const SessionChanges& changes);
  /// So much of it waits that nothing more is to be read of the session.
  [[nodiscard]] bool is_full() const;
  [[nodiscard]] bool has_waiting() const { return waiting_bytes_ > 0; }

private:
  /// Throws kj::Exception: it is no message, and the session is over.
  void take(kj::Array<capnp::word> message);

  SessionParts& session_;
  PolledStream& stream_;
  std::optional<SessionChanges> changes_;
  std::size_t waiting_bytes_ = 0;
};

} // namespace vnvram
