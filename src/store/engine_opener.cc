#include "store/engine_opener.h"

#include <algorithm>
#include <cstring>
#include <optional>
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
// How often one for writing does, for an owner that nothing keeps out. Once more is enough, unless
// that one makes checkpoints all the time.
constexpr int open_attempts_max = 10;

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

bool is_of_one_epoch(const format::Superblock& one, const format::Superblock& other) {
  return one.uuid == other.uuid && one.epoch_number == other.epoch_number &&
         one.epoch_random == other.epoch_random;
}

// From here on it is an image like others, and nobody looks any more at where it was. The seal
// first: without it the mark says nothing.
Status end_move(Engine& engine) {
  const Status unsealed = engine.unseal();
  return unsealed ? engine.set_metadata(moved_from_name, std::nullopt) : unsealed;
}

} // namespace

// INV7l: an owner of whom nobody knew may live, and go on while it is opened. What it was told it
// has is on the device, so what is there is looked at and recovered once more.
Result<std::unique_ptr<Engine>> EngineOpener::open_for_writing(std::unique_ptr<BlockDevice> device,
                                                               OpenOptions options) {
  if (!device->capabilities().write) {
    return Error{ErrorKind::read_only, fmt::format("{}: the device is read-only", device->name())};
  }
  Error last(ErrorKind::in_use, device->name() + ": it is written to while it is opened");
  Known known{.options = std::move(options), .last = {}};
  for (int attempt = 0; attempt < open_attempts_max; ++attempt) {
    auto opened = open_once(device, known);
    if (opened || device == nullptr) {
      return opened;
    }
    last = opened.error();
  }
  return last;
}

Result<std::unique_ptr<Engine>> EngineOpener::open_once(std::unique_ptr<BlockDevice>& device,
                                                        Known& known) {
  const OpenOptions& options = known.options;
  if (options.go_on) { // Who is not to have it does not come in the way of who has.
    if (const Status looked = look_whose_it_is(*device, options); !looked) {
      device.reset();
      return looked.error();
    }
  }
  if (const Status locked = device->lock_for_writing(); !locked) {
    // Of what was let go the superblock names who has let it go, and not who is in the way.
    const Error refused = options.go_on ? locked.error() : in_use(*device, locked.error());
    device.reset();
    return refused;
  }
  const Result<Opening> opening = check_before_recovery(*device, known);
  if (!opening) {
    device->unlock();
    device.reset();
    return opening.error();
  }
  const bool claims = is_to_be_claimed(device->capabilities(), opening->superblock);
  std::unique_ptr<Engine> engine(
      new Engine(std::move(device), opening->superblock, opening->codec, options));
  Recovery recovery = recovery_of(*engine, claims);
  const Result<bool> is_all = recover(*engine, recovery);
  if (claims && (!is_all || !*is_all) && (is_all || is_written_to(*engine))) {
    const Error goes_on = written_to(*engine);
    device = engine->give_up_device();
    return goes_on;
  }
  Status done = is_all ? begin_epoch(*engine, recovery) : Status(is_all.error());
  if (done && opening->moved_here) {
    done = end_move(*engine);
  }
  if (done) {
    done = start(*engine);
  }
  if (!done) {
    engine->abandon();
    return done.error();
  }
  return engine;
}

// With the lock, before anything is written.
Result<EngineOpener::Opening> EngineOpener::check_before_recovery(BlockDevice& device,
                                                                  Known& known) {
  const OpenOptions& options = known.options;
  const Result<format::Superblock> superblock = find_superblock(device);
  if (!superblock) {
    return superblock.error();
  }
  if (known.last && !is_of_one_epoch(known.last->superblock, *superblock)) {
    return Error(ErrorKind::in_use,
                 fmt::format("{}: another owner has opened it meanwhile ({})", device.name(),
                             owner_name(*superblock)),
                 "end one of the two owners; nothing was written");
  }
  const Result<bool> moved_here = check_opening(device, *superblock, options);
  if (!moved_here) {
    return moved_here.error();
  }
  // A recovery may checkpoint on its way, and adds no more to the counters than the ring has
  // blocks.
  Status done = check_counters(device.name(), *superblock, superblock->generation);
  // Now that it is ours, and before anything is written that could fail for it.
  done = done ? ensure_space(device, written_ranges(device, *superblock)) : done;
  if (!done) {
    return done.error();
  }
  const bool is_same_key = known.last && known.last->superblock.key_id == superblock->key_id;
  Result<format::Codec> codec = is_same_key ? Result<format::Codec>(known.last->codec) // At once.
                                            : unlock(device, *superblock, options.keys);
  if (!codec) {
    return codec.error();
  }
  Opening opening{.superblock = *superblock, .codec = *std::move(codec), .moved_here = *moved_here};
  known.last = opening;
  return opening;
}

Recovery EngineOpener::recovery_of(Engine& engine, bool claims) {
  return {engine.state_,        engine.owner_,  engine.superblocks_,
          engine.checkpointer_, engine.anchor_, claims};
}

// Since it was found, and not by this opener.
bool EngineOpener::is_written_to(const Engine& engine) {
  const Result<format::SuperblockPair> pair = format::read_superblocks(*engine.state_.device);
  const format::Superblock& known = engine.state_.superblock;
  return pair && pair->current() != nullptr &&
         std::memcmp(pair->current(), &known, sizeof(known)) != 0;
}

Error EngineOpener::written_to(const Engine& engine) {
  return {ErrorKind::in_use,
          // By no name: a claim of ours names us.
          engine.state_.device->name() + ": its owner goes on writing while it is opened",
          "end that process first"};
}

Result<bool> EngineOpener::recover(Engine& engine, Recovery& recovery) {
  Status done = engine.anchor_.begin();
  done = done ? recovery.recover() : done;
  done = done ? engine.state_.refuse_worn_counters() : done;
  return done ? recovery.settle() : Result<bool>(done.error());
}

Status EngineOpener::begin_epoch(Engine& engine, Recovery& recovery) {
  engine.superblocks_.find_third_copy(engine.state_.superblock);
  const Status done = recovery.begin_epoch();
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
    const Status recovered = recovery_of(*engine, false).recover();
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
