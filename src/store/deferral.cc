#include "store/deferral.h"

#include <exception>

#include "base/barrier.h"

namespace vnvram {

namespace {

// How often a write looks for room before it takes its turn among the commits.
constexpr unsigned deferring_tries = 16;

} // namespace

Deferral::Deferral(SharedState& state, Committer& committer)
    : state_(state), committer_(committer), alarm_(state.clock, [this] { commit_overdue(); }) {}

Status Deferral::write(std::string_view name, std::uint64_t offset_bytes,
                       std::span<const std::byte> bytes) {
  return defer(
      {.name = name, .offset_bytes = offset_bytes, .length_bytes = bytes.size(), .bytes = bytes});
}

Status Deferral::zero(std::string_view name, std::uint64_t offset_bytes,
                      std::uint64_t length_bytes) {
  return defer({.name = name, .offset_bytes = offset_bytes, .length_bytes = length_bytes});
}

// The pages are looked at first: a write that could not be compared with what is there is refused
// now, while someone still listens, and holds up nobody else's later.
Status Deferral::defer(const Write& write) {
  const Status at_all =
      state_.refuse_commit(); // Before anything is looked up, as a commit does it.
  if (!at_all) {
    return at_all;
  }
  PinnedRange pinned(state_, {.name = write.name,
                              .offset_bytes = write.offset_bytes,
                              .length_bytes = write.length_bytes,
                              .to_change = true});
  bool may_wait = state_.options.deferral.count() > 0 || write.length_bytes == 0;
  for (unsigned tries = 0; may_wait && tries < deferring_tries; ++tries) {
    const Result<Fate> fate = try_to_collect(write, pinned);
    if (!fate || *fate == Fate::collected) {
      return fate ? Status{} : fate.error();
    }
    may_wait = *fate != Fate::without_alarm;
    const Status flushed = *fate == Fate::without_room ? committer_.flush() : Status{};
    if (!flushed) { // Whoever is too fast waits for the device.
      return flushed;
    }
  }
  return commit(write);
}

Result<Deferral::Fate> Deferral::try_to_collect(const Write& write, PinnedRange& pinned) {
  {
    const std::lock_guard lock(state_.mutex);
    const Result<bool> complete = pinned.collect();
    if (!complete) {
      return complete.error();
    }
    if (*complete) {
      return collect(write);
    }
  }
  const Status loaded = pinned.load();
  return loaded ? Result<Fate>(Fate::not_readable) : loaded.error();
}

Result<Deferral::Fate> Deferral::collect(const Write& write) {
  if (const std::optional<Error> refused = state_.reason_to_refuse_commit(); refused) {
    return *refused;
  }
  if (write.length_bytes == 0) {
    return Fate::collected;
  }
  DeferredWrites& deferred = state_.deferred;
  if (kept(Barrier::deferred_bounded) &&
      !deferred.has_room(write.name, write.offset_bytes, write.length_bytes)) {
    return Fate::without_room;
  }
  if (deferred.empty() && state_.options.background && !set_alarm()) {
    return Fate::without_alarm;
  }
  if (write.bytes) {
    deferred.write(write.name, write.offset_bytes, *write.bytes);
  } else {
    deferred.zero(write.name, write.offset_bytes, write.length_bytes);
  }
  state_.statistics.add_deferred_write();
  return Fate::collected;
}

// With those that were taken before, and in its turn.
Status Deferral::commit(const Write& write) {
  Transaction transaction;
  if (write.bytes) {
    transaction.write_range(write.name, write.offset_bytes, *write.bytes);
  } else {
    transaction.zero_range(write.name, write.offset_bytes, write.length_bytes);
  }
  return committer_.commit(transaction);
}

bool Deferral::set_alarm() {
  return alarm_.set(state_.clock.now() + state_.options.deferral);
}

void Deferral::commit_overdue() {
  Status done;
  try {
    done = committer_.flush();
  } catch (const std::exception&) { // Memory to wait with. What is deferred waits on.
    done = Error(ErrorKind::io, "the commit could not begin");
  }
  state_.note_background(done);
  const std::lock_guard lock(state_.mutex);
  if (!done && !state_.poisoned && !state_.deferred.nothing_waits()) {
    const bool set = set_alarm();
    static_cast<void>(set); // Its thread is this one.
  }
}

} // namespace vnvram
