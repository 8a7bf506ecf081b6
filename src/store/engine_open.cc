// How an engine comes to life: opening, recovery, the new epoch.
#include <algorithm>
#include <vector>

#include <fmt/core.h>
#include <unistd.h>

#include "base/barrier.h"
#include "base/random_bytes.h"
#include "device/space_keeper.h"
#include "store/engine.h"
#include "store/image_view.h"
#include "store/registration.h"
#include "store/superblock_reader.h"
#include "store/third_copy.h"

namespace vnvram {

namespace {

// How often a read-only opener starts over when the owner is faster than it.
constexpr int read_attempts_max = 100;

// The lock says only that someone has it; the superblock says who wrote there last.
Error in_use(BlockDevice& device, const Error& error) {
  const Result<SuperblockPair> pair = read_superblocks(device);
  const format::Superblock* current = pair ? pair->current() : nullptr;
  if (error.kind() != ErrorKind::in_use || current == nullptr || current->owner_pid == 0) {
    return error;
  }
  return {ErrorKind::in_use,
          fmt::format("{}: in use by process {} on {}", device.name(), current->owner_pid,
                      current->owner_host.data()),
          "stop it first; reading beside it is possible"};
}

/// The image, and the room at the device's end that its third superblock is in: together, as it
/// was made, or apart if the device has grown.
std::vector<ByteRange> what_is_written(BlockDevice& device, const format::Superblock& superblock) {
  constexpr std::uint64_t room_bytes = format::third_copy_blocks_from_end * block_size_bytes;
  const std::uint64_t image_bytes = superblock.image_block_count * block_size_bytes;
  const Result<std::uint64_t> size = device.size_bytes();
  const auto third =
      third_copy_block(superblock.image_block_count, size ? *size / block_size_bytes : 0);
  if (!third) {
    return {{0, image_bytes}};
  }
  const std::uint64_t third_bytes = *third * block_size_bytes;
  return third_bytes == image_bytes
             ? std::vector<ByteRange>{{0, image_bytes + room_bytes}}
             : std::vector<ByteRange>{{0, image_bytes}, {third_bytes, room_bytes}};
}

} // namespace

Result<std::unique_ptr<Engine>> Engine::open(std::unique_ptr<BlockDevice> device,
                                             OpenOptions options) {
  return options.access == Access::read_write
             ? open_for_writing(std::move(device), std::move(options))
             : open_for_reading(std::move(device), options);
}

Result<std::unique_ptr<Engine>> Engine::open_for_writing(std::unique_ptr<BlockDevice> device,
                                                         OpenOptions options) {
  if (!device->capabilities().write) {
    return Error{ErrorKind::read_only, fmt::format("{}: the device is read-only", device->name())};
  }
  const Status locked = device->lock_for_writing();
  if (!locked) {
    return in_use(*device, locked.error());
  }
  const Result<format::Superblock> superblock = find_superblock(*device);
  if (!superblock) {
    device->unlock();
    return superblock.error();
  }
  if ((superblock->features_must_know & format::feature_sealed) != 0 && !options.accept_sealed) {
    device->unlock();
    return sealed_error(device->name(), superblock->generation);
  }
  // Before anything is written. A recovery may checkpoint on its way, and adds no more to the
  // counters than the ring has blocks.
  const Status countable = check_counters(device->name(), *superblock, superblock->generation);
  if (!countable) {
    device->unlock();
    return countable.error();
  }
  // Now that it is ours, and before anything is written that could fail for it.
  if (const Status ensured = ensure_space(*device, what_is_written(*device, *superblock));
      !ensured) {
    device->unlock();
    return ensured.error();
  }
  std::unique_ptr<Engine> engine(new Engine(std::move(device), *superblock, std::move(options)));
  Status done = engine->recover();
  if (done) {
    done = engine->refuse_worn_counters();
  }
  if (done) {
    engine->find_third_copy();
    done = engine->begin_epoch();
  }
  if (done) {
    done = engine->start();
  }
  if (!done) {
    engine->abandon();
    return done.error();
  }
  return engine;
}

Result<std::unique_ptr<Engine>> Engine::open_for_reading(std::unique_ptr<BlockDevice> device,
                                                         const OpenOptions& options) {
  Error last(ErrorKind::stale,
             fmt::format("{}: its owner is faster than this reader", device->name()), "try again");
  std::uint64_t last_sequence = 0;
  for (int attempt = 0; attempt < read_attempts_max; ++attempt) {
    const Result<format::Superblock> before = find_superblock(*device);
    if (!before) {
      return before.error();
    }
    std::unique_ptr<Engine> engine(new Engine(std::move(device), *before, options));
    const Status recovered = engine->recover();
    const Result<SuperblockPair> after = read_superblocks(*engine->device_);
    const bool moved =
        !after || after->current() == nullptr || after->current()->sequence != before->sequence;
    if (recovered && !moved) {
      const Status started = engine->start();
      return started ? Result<std::unique_ptr<Engine>>(std::move(engine)) : started.error();
    }
    if (!recovered && !moved) {
      // An owner writes while we read, so one look can find a break that is none. The same break
      // twice, with nothing done in between, is one.
      if (last_sequence == before->sequence && last.cause() == recovered.error().cause()) {
        return last;
      }
      last = recovered.error();
      last_sequence = before->sequence;
    }
    device = std::move(engine->device_);
    engine->closed_ = true;
  }
  return last;
}

Result<std::unique_ptr<Engine>> Engine::create(std::unique_ptr<BlockDevice> device,
                                               const format::Superblock& superblock,
                                               OpenOptions options) {
  std::unique_ptr<Engine> engine(new Engine(std::move(device), superblock, std::move(options)));
  engine->being_created_ = true;
  engine->has_superblock_ = false;
  const Status done = engine->start();
  if (!done) {
    engine->abandon();
    return done.error();
  }
  return engine;
}

// After a failed opening: nothing more is written.
void Engine::abandon() {
  deferral_clock_.stop();
  queue_.drain();
  stop_checkpointer();
  closed_ = true;
  device_->unlock();
}

std::unique_ptr<BlockDevice> Engine::give_up_device() {
  abandon();
  return std::move(device_);
}

Status Engine::start() {
  if (options_.callbacks == CallbackMode::event_fd) {
    const Status opened = completions_.open_event_fd();
    if (!opened) {
      return opened;
    }
  }
  if (!writes()) {
    const Status compared = compare_with(directory_, options_.blobs);
    return compared ? compared : of_this_image(compared.error());
  }
  if (!options_.threads_late) {
    const std::lock_guard lock(mutex_);
    start_checkpointer();
  }
  return options_.blobs.empty() ? Status{} : register_blobs(options_.blobs);
}

Status Engine::recover() {
  ImageView view(*device_, superblock_, codec_, pages_, directory_, OnDamage::stop);
  Status done = view.load_index();
  if (!done) {
    return done;
  }
  bool flushed = false;
  done =
      view.replay_ring([&](const format::RecordView&, std::uint32_t, const RingPosition& behind) {
        ring_ = behind;
        Status replayed;
        if (writes() &&
            pages_.dirty_size_bytes() + view.pending_size_bytes() >= pages_.cache_size_bytes()) {
          // More than this opener's cache holds: a checkpoint on the way, of what is surely
          // durable.
          view.install_pending();
          replayed = flushed || !kept(Barrier::recovery_flush) ? Status{} : device_->flush();
          flushed = true;
          replayed = replayed ? run_checkpoint(false) : replayed;
        }
        return replayed;
      });
  if (!done) {
    return done;
  }
  if (const RingScanner::End& end = view.ring_end(); end.damaged) {
    return Error{ErrorKind::corrupt, fmt::format("{}: {}", device_->name(), end.reason),
                 end.stray
                     ? "if its content was put back to a snapshot while a commit was on its way, "
                       "that commit arrived late: vnvram repair --discard-stray drops it; if not, "
                       "vnvram salvage gets out what is intact"
                     : "vnvram repair mends what can be mended, vnvram salvage gets out what is "
                       "intact"};
  }
  return view.read_directory({});
}

// INV2c: what was read may be in a cache only, and what it replaced is overwritten next. So flush,
// then a checkpoint with a new epoch and an empty ring half a ring away. The superblock goes
// to both copies: if one rots later, the other still knows the epoch, and with it which records
// count.
Status Engine::begin_epoch() {
  std::uint64_t random = 0;
  const Status got_random = random_bytes(std::as_writable_bytes(std::span(&random, 1)));
  if (!got_random) {
    return got_random;
  }
  const Status flushed = kept(Barrier::open_flush) ? device_->flush() : Status{};
  if (!flushed) {
    return flushed;
  }
  const Status done = run_checkpoint(true, [&](format::Superblock& superblock) {
    if (kept(Barrier::new_epoch)) {
      superblock.epoch_number += 1;
      superblock.epoch_random = random;
      superblock.chain = random;
    }
    superblock.ring_position =
        (ring_.position + (geometry_.ring_block_count() / 2)) % geometry_.ring_block_count();
    superblock.clean = 0;
    superblock.owner_pid = static_cast<std::uint32_t>(::getpid());
    superblock.owner_host = {};
    if (::gethostname(superblock.owner_host.data(), superblock.owner_host.size() - 1) != 0) {
      superblock.owner_host = {};
    }
  });
  if (!done) {
    return done;
  }
  owner_watch_.epoch_begins();
  ring_ = ring_start(superblock_);
  epoch_number_ = superblock_.epoch_number;
  epoch_random_ = superblock_.epoch_random;
  const Status second =
      kept(Barrier::second_superblock_at_open) ? write_superblock(superblock_) : Status{};
  return second ? second : Status(poison(second.error(), "opening"));
}

Status Engine::adopt_after_fork() {
  const Status refused = refuse_any_write();
  if (!refused) {
    return refused;
  }
  return run_checkpoint(true, [](format::Superblock& superblock) {
    superblock.owner_pid = static_cast<std::uint32_t>(::getpid());
  });
}

} // namespace vnvram
