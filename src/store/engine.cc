#include "store/engine.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <exception>
#include <utility>

#include <fmt/core.h>
#include <unistd.h>

#include "base/barrier.h"
#include "format/superblock_pair.h"
#include "store/engine_opener.h"
#include "store/registration.h"
#include "store/third_copy.h"

namespace vnvram {

namespace {

// Whoever reads so many bytes gets them all.
BlobInfo info_of(const Blob& blob, const DeferredWrites& deferred) {
  BlobInfo info = blob.info;
  info.size_bytes = deferred.size_bytes(info.name, info.size_bytes);
  return info;
}

} // namespace

Result<std::unique_ptr<Engine>> Engine::open(std::unique_ptr<BlockDevice> device,
                                             OpenOptions options) {
  return options.access == Access::read_write
             ? EngineOpener::open_for_writing(std::move(device), std::move(options))
             : EngineOpener::open_for_reading(std::move(device), options);
}

Result<std::unique_ptr<Engine>> Engine::create(std::unique_ptr<BlockDevice> device,
                                               const format::Superblock& superblock,
                                               format::Codec codec, OpenOptions options) {
  return EngineOpener::create(std::move(device), superblock, std::move(codec), std::move(options));
}

Engine::Engine(std::unique_ptr<BlockDevice> device, const format::Superblock& superblock,
               format::Codec codec, OpenOptions options)
    : state_(std::move(device), superblock, std::move(codec), std::move(options)), owner_(state_),
      superblocks_(state_, owner_), checkpointer_(state_, owner_, superblocks_),
      growth_(state_, owner_, superblocks_, checkpointer_), anchor_(state_),
      completions_(state_.options.callbacks),
      committer_(state_, owner_, checkpointer_, anchor_, completions_), reader_(state_, committer_),
      sealing_(state_, committer_, checkpointer_),
      key_exchange_(state_, owner_, committer_, checkpointer_, anchor_),
      header_area_(state_, owner_), deferral_(state_, committer_) {}

Engine::~Engine() {
  const Status closed = close(); // Whoever wants to know called close() before.
  static_cast<void>(closed);
}

Result<std::vector<std::byte>> Engine::read(std::string_view name) {
  return reader_.read(name);
}

Status Engine::read_range(std::string_view name, std::uint64_t offset_bytes,
                          std::span<std::byte> bytes) {
  return reader_.read_range(name, offset_bytes, bytes);
}

Status Engine::commit(const Transaction& transaction) {
  return committer_.commit(transaction);
}

void Engine::commit_async(Transaction transaction, CommitCallback callback) {
  committer_.commit_async(std::move(transaction), std::move(callback));
}

Status Engine::write_range_deferred(std::string_view name, std::uint64_t offset_bytes,
                                    std::span<const std::byte> bytes) {
  return deferral_.write(name, offset_bytes, bytes);
}

Status Engine::zero_range_deferred(std::string_view name, std::uint64_t offset_bytes,
                                   std::uint64_t length_bytes) {
  return deferral_.zero(name, offset_bytes, length_bytes);
}

Status Engine::flush() {
  return committer_.flush();
}

Status Engine::checkpoint() {
  const Status refused = state_.refuse_commit();
  return refused ? checkpointer_.run(false) : refused;
}

Status Engine::seal(const HandOverNumber& hand_over) {
  const Status sealed = sealing_.seal(hand_over);
  return sealed ? anchor_.announce({.unsealing = false}) : sealed;
}

Result<std::vector<KeySlotInfo>> Engine::rotate_data_key(const KeyRotation& rotation) {
  const std::lock_guard lock(header_area_mutex_);
  return key_exchange_.run(rotation);
}

Status Engine::check_key_slot(std::optional<unsigned> number) {
  const std::lock_guard lock(header_area_mutex_);
  return header_area_.check_slot(number);
}

Result<KeySlotInfo> Engine::add_key_slot(const KeySlotOffer& offer,
                                         const KeyOfferReceiver& receiver) {
  const std::lock_guard lock(header_area_mutex_);
  return header_area_.add(offer, receiver);
}

Result<KeySlotInfo> Engine::change_key_slot(unsigned number, const KeySlotOffer& offer,
                                            const KeyOfferReceiver& receiver) {
  const std::lock_guard lock(header_area_mutex_);
  return header_area_.change(number, offer, receiver);
}

Status Engine::remove_key_slot(unsigned number, bool allow_last) {
  const std::lock_guard lock(header_area_mutex_);
  return header_area_.remove(number, allow_last);
}

Status Engine::set_metadata(std::string_view name, const std::optional<std::string>& value) {
  const std::lock_guard lock(header_area_mutex_);
  return header_area_.set_metadata(name, value);
}

// The anchor first: what it says is never sealed without the image.
Status Engine::unseal() {
  const Status refused = state_.refuse_any_write();
  const Status anchored = refused ? anchor_.announce({.unsealing = true}) : refused;
  return anchored ? sealing_.unseal() : anchored;
}

Status Engine::make_room_for(std::span<const BlobSpec> specs, Directory& directory) {
  if (state_.options.grow_max_bytes == 0) {
    return {};
  }
  const std::uint32_t pages = pages_to_add(directory, specs, state_.geometry);
  if (pages == 0) {
    return {};
  }
  const Status grown = growth_.make_room(directory.page_count() + pages);
  if (grown) {
    directory.grow(state_.geometry.page_count());
  }
  return grown;
}

Status Engine::register_blobs(std::span<const BlobSpec> specs) {
  return committer_.change_directory([&](Directory& directory, Stage& stage) {
    Status registered = make_room_for(specs, directory);
    registered = registered ? register_in(directory, stage, specs, state_.geometry) : registered;
    if (registered) {
      state_.know_attributes_of(specs);
    }
    return registered;
  });
}

Status Engine::register_blobs(std::span<const NewBlob> blobs) {
  return committer_.change_directory([&](Directory& directory, Stage& stage) {
    const std::vector<BlobSpec> specs = specs_of(blobs);
    Status registered = make_room_for(specs, directory);
    registered = registered ? register_in(directory, stage, specs, state_.geometry) : registered;
    if (!registered) {
      return registered;
    }
    state_.know_attributes_of(specs);
    Transaction contents;
    for (const NewBlob& blob : blobs) {
      if (blob.content && directory.find(blob.spec.name)->info.generation == 0) {
        contents.write(blob.spec.name, std::span<const std::byte>(*blob.content));
      }
    }
    bool record_full = false; // A record of its own has all the room that there is.
    return stage.add(contents, directory, state_.known_attributes, record_full);
  });
}

Status Engine::remove_blob(std::string_view name) {
  return committer_.change_directory(
      [&](Directory& directory, Stage& stage) { return remove_from(directory, stage, name); });
}

std::vector<BlobInfo> Engine::blobs() const {
  const std::lock_guard lock(state_.mutex);
  std::vector<BlobInfo> infos;
  infos.reserve(state_.directory.blobs().size());
  for (const auto& [name, blob] : state_.directory.blobs()) {
    infos.push_back(info_of(blob, state_.deferred));
  }
  return infos;
}

Result<BlobInfo> Engine::blob(std::string_view name) const {
  const std::lock_guard lock(state_.mutex);
  const Blob* blob = state_.directory.find(name);
  if (blob == nullptr) {
    return Error{ErrorKind::not_found, fmt::format("{}: no blob {}", state_.device->name(), name),
                 "`ls` shows what is there"};
  }
  return info_of(*blob, state_.deferred);
}

StoreInfo Engine::info() const {
  const std::lock_guard lock(state_.mutex);
  StoreInfo info;
  info.uuid = state_.superblock.uuid;
  info.format_version = state_.superblock.format_version;
  info.generation = state_.ring.sequence;
  info.epoch = state_.superblock.epoch_number;
  // With the room behind it that the third superblock is in.
  const bool has_room =
      third_copy_block(state_.geometry.image_block_count(), state_.device_block_count).has_value();
  info.image_size_bytes =
      (state_.geometry.image_block_count() + (has_room ? format::third_copy_blocks_from_end : 0)) *
      block_size_bytes;
  info.ring_size_bytes = std::uint64_t{state_.geometry.ring_block_count()} * block_size_bytes;
  info.ring_used_bytes = std::uint64_t{state_.ring.used_blocks} * block_size_bytes;
  info.space_size_bytes = std::uint64_t{state_.geometry.page_count() - 1} * block_size_bytes;
  info.space_free_bytes = std::uint64_t{state_.directory.free_page_count()} * block_size_bytes;
  info.blob_size_max_bytes =
      std::min(blob_size_max_bytes,
               format::Geometry::blob_size_bytes_for(state_.geometry.record_block_count_max()));
  info.blob_count = state_.directory.blobs().size();
  info.clean = state_.superblock.clean != 0;
  info.owner_pid = state_.superblock.owner_pid;
  info.owner_host = state_.superblock.owner_host.data();
  info.poisoned = state_.poisoned;
  info.owner_since_seconds = state_.superblock.owner_since;
  info.sealed = state_.sealed;
  info.hand_over.bytes = state_.superblock.hand_over;
  info.encrypted = state_.codec.seals();
  info.content_may_change = state_.device->capabilities().content_may_change;
  return info;
}

StoreCounters Engine::counters() const {
  StoreCounters counters;
  state_.statistics.write_counters(counters);
  state_.device->write_counters(counters);
  checkpointer_.write_counters(counters);
  return counters;
}

Status Engine::adopt_after_fork() {
  const Status refused = state_.refuse_any_write();
  if (!refused) {
    return refused;
  }
  return checkpointer_.run(true, [](format::Superblock& superblock) {
    superblock.owner_pid = static_cast<std::uint32_t>(::getpid());
  });
}

// With no record and no superblock on its way, which the device has and memory does not know yet.
Result<bool> Engine::is_current() {
  Result<bool> current = false;
  committer_.read_in_turn([&] {
    checkpointer_.between_checkpoints([&] {
      try {
        current = compare_with_device();
      } catch (const std::exception& failure) {
        current = Error{ErrorKind::io, fmt::format("{}: {}", state_.device->name(), failure.what()),
                        "try again"};
      }
    });
  });
  return current;
}

// The whole ring, and not only its newest record: a write that was on its way when the content was
// put back may have landed on it afterwards, behind records that are not there any more.
Result<bool> Engine::compare_with_device() {
  const Result<format::SuperblockPair> pair = format::read_superblocks(*state_.device);
  if (!pair) {
    return pair.error();
  }
  format::Superblock superblock{};
  RingPosition ring;
  {
    const std::lock_guard lock(state_.mutex);
    superblock = state_.superblock;
    ring = state_.ring;
  }
  const format::Superblock* current = pair->current();
  if (current == nullptr || std::memcmp(current, &superblock, sizeof(superblock)) != 0) {
    return false;
  }
  RingScanner scanner(*state_.device, superblock, state_.codec);
  const auto end = scanner.scan([](const auto&, auto, const auto&) { return Status{}; });
  if (!end) {
    return end.error();
  }
  return !end->damaged && end->behind.sequence == ring.sequence && end->behind.chain == ring.chain;
}

Status Engine::close() {
  if (closed_) {
    return {};
  }
  closed_ = true;
  deferral_.stop();
  // A callback may commit again, and such a commit may need the checkpointer.
  committer_.drain_with_callbacks();
  if (!state_.writes()) {
    checkpointer_.stop();
    return {};
  }
  Status done = kept(Barrier::deferred_at_close) ? committer_.flush() : Status{};
  checkpointer_.stop();
  const bool created = superblocks_.write_from_now_on();
  if (done) { // Else it is no clean end.
    done = checkpointer_.run(true, [](format::Superblock& superblock) {
      superblock.clean = 1;
      superblock.owner_pid = 0;
      superblock.owner_host = {};
      superblock.owner_since = 0;
    });
  }
  if (done && kept(Barrier::second_superblock_at_close)) {
    // Both copies: whichever rots, the other says the same.
    done = superblocks_.write(state_.superblock);
  }
  if (done && created) { // The others first: before them there is no image.
    superblocks_.find_third_copy(state_.superblock);
    done = superblocks_.update_third_copy(state_.superblock);
    done = done ? state_.device->flush() : done;
  }
  const Status anchored = anchor_.end(done.ok());
  state_.device->unlock();
  return done ? anchored : done;
}

// After a failed opening, too.
void Engine::abandon() {
  deferral_.stop();
  committer_.drain();
  checkpointer_.stop();
  closed_ = true;
  const Status anchored = anchor_.end(false); // Which writes nothing.
  static_cast<void>(anchored);
  state_.device->unlock();
}

std::unique_ptr<BlockDevice> Engine::give_up_device() {
  abandon();
  return state_.device->give_up();
}

} // namespace vnvram
