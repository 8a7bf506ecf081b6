#include "store/owner_check.h"

#include <fmt/core.h>

#include "base/barrier.h"

namespace vnvram {

OwnerCheck::OwnerCheck(SharedState& state) : state_(state), watch_(*state.device, state.clock) {}

format::Superblock OwnerCheck::own_superblock() const {
  const std::lock_guard lock(state_.mutex);
  return state_.superblock;
}

// INV7a: before anything is written.
Status OwnerCheck::look() {
  if (!kept(Barrier::owner_check) || !state_.has_superblock) {
    return {};
  }
  constexpr std::string_view remedy = "nothing was written";
  Status looked = opens_ ? watch_.look_for_same(own_superblock(), remedy)
                         : watch_.look(own_superblock(), remedy);
  if (!looked &&
      (looked.error().kind() == ErrorKind::in_use || looked.error().kind() == ErrorKind::stale)) {
    return state_.poison(looked.error(), "ownership");
  }
  return looked;
}

// Storage that shuts an owner out may let it read on: who has the image now is in the superblocks,
// unless he has not come so far yet.
Error OwnerCheck::with_who_has_it(const Error& refused) {
  if (refused.kind() != ErrorKind::in_use || !state_.has_superblock) {
    return refused;
  }
  const Status looked = watch_.look(own_superblock(), "this commit does not count");
  return looked.ok() || looked.error().kind() != ErrorKind::in_use
             ? refused
             : Error(ErrorKind::in_use,
                     fmt::format("{} ({})", looked.error().cause(), refused.cause()),
                     looked.error().remedy());
}

// INV7a: where a look at the superblocks can be under way together with the record it is, and
// neither alone is enough for the caller to be answered. What an owner that was overtaken has
// written then is a record of another epoch than the image's: it counts for nobody.
Status OwnerCheck::put_record(std::uint64_t offset_bytes, std::span<const std::byte> record) {
  if (!kept(Barrier::commit_durability) || !kept(Barrier::owner_check) || !state_.has_superblock ||
      watch_.timing() != OwnerWatch::Timing::with_commit) {
    const Status written = kept(Barrier::commit_durability)
                               ? state_.device->write_durable(offset_bytes, record)
                               : state_.device->write(offset_bytes, record);
    return written ? written : Status(state_.poison(with_who_has_it(written.error()), "a commit"));
  }
  bool looked = false;
  const Status done = watch_.look_and_write(own_superblock(), "this commit does not count",
                                            offset_bytes, record, looked);
  if (done) {
    return done;
  }
  return looked ? state_.poison(done.error(), "ownership")
                : state_.poison(with_who_has_it(done.error()), "a commit");
}

} // namespace vnvram
