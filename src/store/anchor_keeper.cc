#include "store/anchor_keeper.h"

#include <utility>

#include "anchor/anchor_judge.h"
#include "base/barrier.h"
#include "store/ring_scanner.h"

namespace vnvram {

namespace {

// A key service may be away for a while. A store that goes on without its anchor for longer has a
// policy that nobody keeps.
constexpr unsigned failures_max = 10;

AnchorPoint point_of(const format::Superblock& superblock, const RingPosition& ring) {
  AnchorPoint point;
  point.uuid = superblock.uuid;
  point.epoch_number = superblock.epoch_number;
  point.epoch_random = superblock.epoch_random;
  point.generation = ring.sequence;
  point.chain = ring.chain;
  point.sealed = (superblock.features_must_know & format::feature_sealed) != 0;
  point.key_id = superblock.key_id;
  return point;
}

} // namespace

AnchorKeeper::AnchorKeeper(SharedState& state)
    : state_(state), use_(state.options.anchor), alarm_(state.clock, [this] { alarm_rang(); }) {}

AnchorPoint AnchorKeeper::image_point() const {
  const std::lock_guard lock(state_.mutex);
  return point_of(state_.superblock, state_.ring);
}

// The ring is read for it once more: a recovery may write on its way.
Status AnchorKeeper::begin() {
  if (!anchors()) {
    return {};
  }
  const std::lock_guard lock(mutex_);
  const Status locked = use_.anchor->lock();
  if (!locked) {
    return locked;
  }
  is_locked_ = true;
  Result<std::optional<AnchorPoint>> anchored = use_.anchor->read();
  if (!anchored && !(use_.accept && anchored.error().kind() == ErrorKind::corrupt)) {
    return anchored.error();
  }
  written_ = anchored ? *anchored : std::nullopt;
  return kept(Barrier::anchor_judged) ? judge_image(anchored) : Status{};
}

// What cannot be read is to be overwritten, whatever it was.
Status AnchorKeeper::judge_image(const Result<std::optional<AnchorPoint>>& anchored) {
  RingScanner scanner(*state_.device, state_.superblock, state_.codec);
  const auto end = scanner.scan([](const auto&, auto, const auto&) { return Status{}; });
  if (!end) {
    return end.error();
  }
  if (end->damaged) {
    return {}; // The recovery refuses it, and says why.
  }
  AnchorComparison found = compare(state_.device->name(), point_of(state_.superblock, end->behind),
                                   use_.anchor->name(), written_);
  if (!anchored) {
    found.unreadable = anchored.error();
  }
  if (use_.accept) {
    return use_.accept(*state_.device, found);
  }
  return found.verdict == AnchorVerdict::at_anchor ? Status{} : not_at_anchor(found);
}

// INV12a: whichever of the two epochs it is after a cut, the anchor knows it.
Status AnchorKeeper::announce_epoch(std::uint64_t random) {
  if (!anchors() || !kept(Barrier::anchor_announces)) {
    return {};
  }
  const std::lock_guard lock(mutex_);
  AnchorPoint point = next_point();
  point.next_epoch_random = random;
  return put(point);
}

Status AnchorKeeper::epoch_began() {
  if (is_periodic() && has_alarm() && !state_.options.threads_late) {
    set_alarm(); // A process that is about to confine itself has the thread then.
  }
  return anchors() ? write() : Status{};
}

AnchorPoint AnchorKeeper::next_point() const {
  AnchorPoint point = image_point();
  if (told_generation_ > point.generation) { // Anchored, and not installed yet.
    point.generation = told_generation_;
    point.chain = told_chain_;
  }
  point.sealed = point.sealed && !unsealing_;
  point.next_key_id = next_key_;
  point.each_commit = use_.policy.moment == AnchorPolicy::Moment::commit;
  return point;
}

Status AnchorKeeper::write() {
  const std::lock_guard lock(mutex_);
  const AnchorPoint point = next_point(); // With the mutex: what is written later is not older.
  return written_ == point || has_gone_on_elsewhere() ? Status{} : put(point);
}

// An anchor that two hosts ask knows no lock.
bool AnchorKeeper::has_gone_on_elsewhere() const {
  const Result<std::optional<AnchorPoint>> anchored = use_.anchor->read();
  if (!anchored || !*anchored) {
    return false;
  }
  const AnchorPoint image = image_point();
  return (*anchored)->uuid == image.uuid && (*anchored)->epoch_number > image.epoch_number;
}

Status AnchorKeeper::announce(const Announcement& what) {
  const bool comes_later = what.next_key && *what.next_key != format::KeyId{};
  if (!anchors() || (comes_later && !kept(Barrier::anchor_announces))) {
    return {};
  }
  {
    const std::lock_guard lock(mutex_);
    unsealing_ = what.unsealing.value_or(unsealing_);
    next_key_ = what.next_key.value_or(next_key_);
  }
  return write();
}

Status AnchorKeeper::put(const AnchorPoint& point) {
  const Status done = use_.anchor->write(point);
  last_write_ = state_.clock.now();
  if (done) {
    written_ = point;
  } else {
    written_.reset(); // It may be there or not.
  }
  return done;
}

// INV12b: with this policy nobody is answered for what the anchor does not know.
Status AnchorKeeper::committed(std::uint64_t generation, std::uint64_t chain) {
  if (!anchors() || use_.policy.moment != AnchorPolicy::Moment::commit || !state_.has_superblock ||
      !kept(Barrier::anchor_before_answer)) {
    return {};
  }
  Status done;
  {
    const std::lock_guard lock(mutex_);
    told_generation_ = generation;
    told_chain_ = chain;
    done = put(next_point());
  }
  return done ? done : Status(state_.poison(done.error(), "a commit"));
}

bool AnchorKeeper::has_alarm() const {
  return state_.options.background && !state_.device->capabilities().content_may_change;
}

void AnchorKeeper::installed() {
  if (!is_periodic()) {
    return;
  }
  if (has_alarm()) {
    set_alarm();
    return;
  }
  bool due = false;
  {
    const std::lock_guard lock(mutex_);
    due = state_.clock.now() - last_write_ >= use_.policy.period;
  }
  if (due) {
    write_overdue();
  }
}

// Without a thread for it now, the next commit asks again.
void AnchorKeeper::set_alarm() {
  const std::lock_guard lock(state_.mutex);
  if (!alarm_is_set_) {
    alarm_is_set_ = alarm_.set(state_.clock.now() + use_.policy.period);
  }
}

void AnchorKeeper::alarm_rang() {
  {
    const std::lock_guard lock(state_.mutex);
    alarm_is_set_ = false; // What is committed from here on may come too late for this one.
  }
  if (!write_overdue()) {
    set_alarm();
  }
}

bool AnchorKeeper::write_overdue() {
  if (!state_.refuse_any_write()) {
    return true;
  }
  Status done = write();
  failures_ = done ? 0 : failures_ + 1;
  const bool give_up = failures_ == failures_max;
  if (give_up) {
    done = state_.poison(done.error(), "writing the anchor, many times over,");
  }
  state_.note_background(done);
  return done || give_up;
}

Status AnchorKeeper::end(bool in_good_order) {
  stop();
  const Status done = in_good_order && anchors() ? write() : Status{};
  const std::lock_guard lock(mutex_);
  if (std::exchange(is_locked_, false)) {
    use_.anchor->unlock();
  }
  return done;
}

} // namespace vnvram
