#include "store/record_writer.h"

#include <algorithm>
#include <cassert>

namespace vnvram {

Result<RingPlace> RecordWriter::wait_for_room(std::uint32_t block_count) {
  const std::uint32_t ring_block_count = state_.geometry.ring_block_count();
  std::unique_lock lock(state_.mutex);
  while (!state_.poisoned) {
    assert(state_.ring.used_blocks <= ring_block_count);
    const RingPlace place = ring_place(state_.ring, block_count, ring_block_count);
    if (state_.ring.used_blocks + place.cost_blocks <= ring_block_count &&
        state_.pages.dirty_size_bytes() < state_.pages.cache_size_bytes()) {
      return place;
    }
    const Status made = checkpointer_.make_room(lock);
    if (!made) {
      return made.error();
    }
  }
  lock.unlock();
  return state_.refuse_commit().error();
}

Status RecordWriter::look_before(std::uint32_t block_count) {
  const bool with_commit = owner_.watch().timing() == OwnerWatch::Timing::with_commit;
  // A long record may begin anew at the ring's start, and end where another owner's first one is.
  const bool long_record = 4 * block_count > state_.geometry.ring_block_count();
  if (!owner_.watch().looks_first() && !(long_record && with_commit)) {
    return {};
  }
  const Status still_ours = owner_.look();
  if (!still_ours && with_commit) { // As the look that goes with the record does.
    return state_.poison(still_ours.error(), "a commit");
  }
  return still_ours;
}

// INV7a: what this owner has in memory need not be what the image says. Also behind a lock: one can
// be taken away, or end with a lease.
Status RecordWriter::write_nothing() {
  const bool with_commit = owner_.watch().timing() == OwnerWatch::Timing::with_commit;
  const Status still_ours = owner_.look();
  return still_ours || !with_commit ? still_ours
                                    : Status(state_.poison(still_ours.error(), "a commit"));
}

Status RecordWriter::write(Directory* changed_directory) {
  const Status countable = state_.refuse_worn_counters();
  if (!countable) {
    return countable;
  }
  format::RecordBuilder& builder = stage_.builder();
  const Result<RingPlace> place = wait_for_room(builder.block_count());
  if (!place) {
    return place.error();
  }
  const Status still_ours = look_before(builder.block_count());
  if (!still_ours) {
    return still_ours;
  }
  // INV3a: all of it is one record.
  std::uint64_t checksum = 0;
  const Result<std::span<const std::byte>> finished = builder.finish(
      {state_.epoch_number, state_.epoch_random, stage_.generation(), state_.ring.chain},
      state_.codec, checksum);
  if (!finished) {
    return finished.error();
  }
  const std::span<const std::byte> record = *finished;
  const std::uint64_t record_block_count = record.size() / block_size_bytes;
  assert(record_block_count == builder.block_count());
  assert(place->position + record_block_count <= state_.geometry.ring_block_count());
  assert(place->cost_blocks >= record_block_count);
  blocks_since_opening_ += place->cost_blocks;
  if (2 * blocks_since_opening_ > state_.geometry.ring_block_count()) {
    owner_.watch().wait_for_overtaken();
  }
  Status written =
      owner_.put_record(format::Geometry::ring_block(place->position) * block_size_bytes, record);
  written = written ? anchor_.committed(stage_.generation(), checksum) : written;
  if (!written) {
    return written;
  }
  install(*place, checksum, changed_directory); // INV1a: not before the record is durable.
  anchor_.installed();
  state_.statistics.add_record(record.size());
  state_.tell_changed(stage_.generation(), false);
  return {};
}

// The record is durable: now memory may know of it. What needs memory comes first and changes
// nothing that a reader sees if there is none; behind the pages, nothing needs any.
void RecordWriter::install(const RingPlace& place, std::uint64_t checksum,
                           Directory* changed_directory) {
  const std::vector<PageUpdate> updates = stage_.take_pages();
  stage_.prepare_blob_changes();
  const std::lock_guard lock(state_.mutex);
  state_.pages.install(updates);
  install_changes(place, checksum, changed_directory);
}

void RecordWriter::install_changes(const RingPlace& place, std::uint64_t checksum,
                                   Directory* changed_directory) noexcept {
  RingPosition& ring = state_.ring;
  const std::uint32_t block_count = stage_.builder().block_count();
  const std::uint32_t ring_block_count = state_.geometry.ring_block_count();
  // Where the record is, as recovery will look for it: directly behind the newest one, or at the
  // ring's beginning, and over nothing that no checkpoint has brought home.
  assert(place.position == ring.position || place.position == 0);
  assert(place.cost_blocks ==
         block_count + (place.position == ring.position ? 0 : ring_block_count - ring.position));
  assert(ring.used_blocks + place.cost_blocks <= ring_block_count);
  assert(stage_.generation() == ring.sequence + 1);
  stage_.apply_blob_changes();
  state_.deferred.taken_is_durable(); // It is the first that every record holds.
  if (changed_directory != nullptr) {
    state_.directory =
        std::move(*changed_directory); // With its pages: readers see both or neither.
    state_.deferred.keep_only(
        [&](std::string_view name) { return state_.directory.find(name) != nullptr; });
  }
  ring.position = (place.position + block_count) % ring_block_count;
  ring.used_blocks += place.cost_blocks;
  ring.sequence = stage_.generation();
  ring.chain = checksum;
  checkpointer_.committed(ring.used_blocks == place.cost_blocks);
}

} // namespace vnvram
