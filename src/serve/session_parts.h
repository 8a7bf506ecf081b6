// What a session consists of.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include <kj/async.h>

#include "client/local_blob_client.h"
#include "serve/change_lane.h"
#include "serve/change_queue.h"
#include "serve/owner_parts.h"
#include "serve/watchers.h"

namespace vnvram {

/// What the capabilities of a session have in common, narrowed ones included.
struct SessionParts {
  SessionParts(const OwnerParts& of_owner, std::uint64_t session, PolledStream& stream)
      : owner(of_owner), number(session), client(of_owner.keeper), changes(of_owner.keeper),
        lane(*this, stream), watchers(of_owner.events, of_owner.image) {}
  SessionParts(const SessionParts&) = delete;
  SessionParts& operator=(const SessionParts&) = delete;

  const OwnerParts& owner;
  const std::uint64_t number;
  LocalBlobClient client; ///< Reads.
  ChangeQueue changes;
  ChangeLane lane;
  Watchers watchers;
  /// Of a call that waits for the outcome of a renewal.
  kj::Own<kj::PromiseFulfiller<void>> front_ends_renewed;
  std::uint64_t call_count = 0; ///< That have come.
  /// Capabilities that were made by narrow(). Some may outlive this.
  std::shared_ptr<std::size_t> narrowed_count = std::make_shared<std::size_t>(0);
};

} // namespace vnvram
