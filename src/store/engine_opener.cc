#include "store/engine_opener.h"

#include <algorithm>
#include <string>
#include <vector>

#include <fmt/core.h>

#include "base/barrier.h"
#include "base/host_name.h"
#include "device/space_keeper.h"
#include "device/unclosed_image.h"
#include "format/superblock_pair.h"
#include "keys/key_rotation.h"
#include "store/hand_over_look.h"
#include "store/header_area_device.h"
#include "store/move_marks.h"
#include "store/owner_name.h"
#include "store/registration.h"
#include "store/superblock_reader.h"
#include "store/unlock.h"
#include "store/written_ranges.h"

namespace vnvram {

namespace {

// How often a read-only opener starts over when the owner is faster than it.
constexpr int read_attempts_max = 100;
// How often one for writing does, for an owner that nothing keeps out. Once is enough, unless that
// one has made a checkpoint at that very moment.
constexpr int claim_attempts_max = 10;

// The lock says only that someone has it; the superblock says who wrote there last.
Error in_use(BlockDevice& device, const Error& error) {
  const Result<format::SuperblockPair> pair = format::read_superblocks(device);
  const format::Superblock* current = pair ? pair->current() : nullptr;
  if (error.kind() != ErrorKind::in_use || current == nullptr || current->owner_pid == 0) {
    return error;
  }
  return {ErrorKind::in_use, fmt::format("{}: in use by {}", device.name(), owner_name(*current)),
          error.remedy()};
}

// INV7a, of whole machines: the store of an owner that was overtaken is poisoned, but the next one
// of the same machine would read on, and its devices write what they remember.
Status check_nobody_since(const std::string& name, const format::Superblock& superblock,
                          const OwnerBefore& before) {
  const bool is_one_of_ours = std::find(before.pids.begin(), before.pids.end(),
                                        superblock.owner_pid) != before.pids.end() &&
                              superblock.owner_host.data() == host_name();
  if (superblock.epoch_number <= before.epoch || is_one_of_ours) {
    return {};
  }
  return Error(ErrorKind::in_use,
               fmt::format("{}: {} has opened it since this machine's owner ended (epoch {}, and "
                           "this machine's was {})",
                           name, owner_name(superblock), superblock.epoch_number, before.epoch),
               "end this machine: what it remembers may be older than the image");
}

// INV7e: nobody who serves is overtaken without a word.
Status check_closed(const BlockDevice& device, const format::Superblock& superblock,
                    const OpenOptions& options) {
  const LastOwner owner{.pid = superblock.owner_pid, .host = superblock.owner_host.data()};
  const bool is_sealed = (superblock.features_must_know & format::feature_sealed) != 0;
  const bool is_own = options.go_on || (options.comes_after &&
                                        superblock.epoch_number <= options.comes_after->epoch);
  const bool is_told = is_sealed || is_own || options.accept_unclosed;
  return !is_told && kept(Barrier::unclosed_word) &&
                 may_be_open_elsewhere(device.capabilities(), owner)
             ? Status(open_elsewhere(device.name(), owner))
             : Status();
}

// Whether who opens it may, and then whether it was moved here, so that its seal comes off.
Result<bool> check_opening(BlockDevice& device, const format::Superblock& superblock,
                           const OpenOptions& options) {
  const bool has_a_word = options.go_on || options.accept_hand_over;
  Result<bool> moved_here = has_a_word ? Result<bool>(false) : came_by_move(device, superblock);
  if (moved_here && options.accept_hand_over) {
    if (const Status nobody = check_nobody_is_elsewhere(device, superblock); !nobody) {
      return nobody.error();
    }
  }
  if (!moved_here) {
    return moved_here;
  }
  const Status may_open =
      *moved_here ? Status() : check_whose_it_is(device.name(), superblock, options);
  if (!may_open) {
    return with_place_moved_to(device, superblock, may_open.error());
  }
  const Status free = options.comes_after
                          ? check_nobody_since(device.name(), superblock, *options.comes_after)
                          : Status();
  const Status closed = free ? check_closed(device, superblock, options) : Status(free.error());
  return closed ? moved_here : closed.error();
}

// INV7l. Who is sealed commits nothing, and who is shut out cannot.
bool is_to_be_claimed(const DeviceCapabilities& can, const format::Superblock& superblock) {
  const bool is_sealed = (superblock.features_must_know & format::feature_sealed) != 0;
  return superblock.clean == 0 && !is_sealed && !(can.lock && can.fences) &&
         kept(Barrier::opening_claim);
}

// From here on it is an image like others, and nobody looks any more at where it was. The seal
// first: without it the mark says nothing.
Status end_move(Engine& engine) {
  const Status unsealed = engine.unseal();
  return unsealed ? engine.set_metadata(moved_from_name, std::nullopt) : unsealed;
}

} // namespace

Result<std::unique_ptr<Engine>> EngineOpener::open_for_writing(std::unique_ptr<BlockDevice> device,
                                                               OpenOptions options) {
  if (!device->capabilities().write) {
    return Error{ErrorKind::read_only, fmt::format("{}: the device is read-only", device->name())};
  }
  if (options.go_on) { // Who is not to have it does not come in the way of who has.
    if (const Status looked = look_whose_it_is(*device, options); !looked) {
      return looked.error();
    }
  }
  const Status locked = device->lock_for_writing();
  if (!locked) { // Of what was let go the superblock names who has let it go, and not who is in the
                 // way.
    return options.go_on ? locked.error() : in_use(*device, locked.error());
  }
  const Result<format::Superblock> superblock = find_superblock(*device);
  if (!superblock) {
    device->unlock();
    return superblock.error();
  }
  const Result<bool> moved_here = check_opening(*device, *superblock, options);
  if (!moved_here) {
    device->unlock();
    return moved_here.error();
  }
  // Before anything is written. A recovery may checkpoint on its way, and adds no more to the
  // counters than the ring has blocks.
  const Status countable = check_counters(device->name(), *superblock, superblock->generation);
  if (!countable) {
    device->unlock();
    return countable.error();
  }
  // Now that it is ours, and before anything is written that could fail for it.
  if (const Status ensured = ensure_space(*device, written_ranges(*device, *superblock));
      !ensured) {
    device->unlock();
    return ensured.error();
  }
  auto engine = recover(std::move(device), *superblock, options);
  if (!engine) {
    return engine;
  }
  Status done = begin_epoch(**engine);
  if (done && *moved_here) {
    done = end_move(**engine);
  }
  if (done) {
    done = start(**engine);
  }
  if (!done) {
    (*engine)->abandon();
    return done.error();
  }
  return engine;
}

Recovery EngineOpener::recovery_of(Engine& engine) {
  return {engine.state_, engine.owner_, engine.superblocks_, engine.checkpointer_, engine.anchor_};
}

// INV7l: an owner of whom nobody knew may live, and commit while it is opened. What it was told it
// has is on the device, so what is there is recovered once more.
Result<std::unique_ptr<Engine>> EngineOpener::recover(std::unique_ptr<BlockDevice> device,
                                                      format::Superblock superblock,
                                                      const OpenOptions& options) {
  for (int attempt = 0; attempt < claim_attempts_max; ++attempt) {
    Result<format::Codec> codec = unlock(*device, superblock, options.keys);
    if (!codec) {
      device->unlock();
      return codec.error();
    }
    const bool is_claimed = is_to_be_claimed(device->capabilities(), superblock);
    std::unique_ptr<Engine> engine(
        new Engine(std::move(device), superblock, *std::move(codec), options));
    const Status recovered = recover(*engine);
    const Result<bool> is_all = !recovered   ? Result<bool>(recovered.error())
                                : is_claimed ? recovery_of(*engine).claim()
                                             : Result<bool>(true);
    if (!is_all) {
      engine->abandon();
      return is_all.error();
    }
    if (*is_all) {
      return engine;
    }
    device = engine->give_up_device();
    const Status locked = device->lock_for_writing();
    const Result<format::Superblock> found =
        locked ? find_superblock(*device) : Result<format::Superblock>(locked.error());
    if (!found) {
      device->unlock();
      return found.error();
    }
    superblock = *found;
  }
  device->unlock();
  return Error(ErrorKind::in_use,
               fmt::format("{}: {} goes on writing while it is opened", device->name(),
                           owner_name(superblock)),
               "end that process first");
}

Status EngineOpener::recover(Engine& engine) {
  Status done = engine.anchor_.begin();
  done = done ? recovery_of(engine).recover() : done;
  return done ? engine.state_.refuse_worn_counters() : done;
}

Status EngineOpener::begin_epoch(Engine& engine) {
  engine.superblocks_.find_third_copy(engine.state_.superblock);
  const Status done = recovery_of(engine).begin_epoch();
  if (done && engine.state_.codec.seals()) {
    // What an exchange of the data key that was cut has left behind. If it stays, another opening
    // takes it away.
    HeaderAreaDevice header(engine.state_, engine.owner_);
    static_cast<void>(
        drop_other_wraps(header, {engine.state_.superblock.uuid, engine.state_.superblock.key_id}));
  }
  return done;
}

Result<std::unique_ptr<Engine>> EngineOpener::open_for_reading(std::unique_ptr<BlockDevice> device,
                                                               const OpenOptions& options) {
  Error last(ErrorKind::stale,
             fmt::format("{}: its owner is faster than this reader", device->name()), "try again");
  std::uint64_t last_sequence = 0;
  for (int attempt = 0; attempt < read_attempts_max; ++attempt) {
    const Result<format::Superblock> before = find_superblock(*device);
    if (!before) {
      return before.error();
    }
    Result<format::Codec> codec = unlock(*device, *before, options.keys);
    if (!codec) {
      return codec.error();
    }
    std::unique_ptr<Engine> engine(
        new Engine(std::move(device), *before, *std::move(codec), options));
    const Status recovered = recovery_of(*engine).recover();
    const Result<format::SuperblockPair> after = format::read_superblocks(*engine->state_.device);
    const bool moved =
        !after || after->current() == nullptr || after->current()->sequence != before->sequence;
    if (recovered && !moved) {
      const Status started = start(*engine);
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
    device = engine->state_.device->give_up();
    engine->closed_ = true;
  }
  return last;
}

Result<std::unique_ptr<Engine>> EngineOpener::create(std::unique_ptr<BlockDevice> device,
                                                     const format::Superblock& superblock,
                                                     format::Codec codec, OpenOptions options) {
  std::unique_ptr<Engine> engine(
      new Engine(std::move(device), superblock, std::move(codec), std::move(options)));
  engine->superblocks_.keep_in_memory();
  const Status done = start(*engine);
  if (!done) {
    engine->abandon();
    return done.error();
  }
  return engine;
}

Status EngineOpener::start(Engine& engine) {
  SharedState& state = engine.state_;
  if (state.options.callbacks == CallbackMode::event_fd) {
    const Status opened = engine.completions_.open_event_fd();
    if (!opened) {
      return opened;
    }
  }
  if (!state.writes()) {
    const Status compared = compare_with(state.directory, state.options.blobs);
    return compared ? compared : state.of_this_image(compared.error());
  }
  if (!state.options.threads_late) {
    const std::lock_guard lock(state.mutex);
    engine.checkpointer_.start_thread();
  }
  return state.options.blobs.empty() ? Status{} : engine.register_blobs(state.options.blobs);
}

} // namespace vnvram
