#include "store/key_exchange.h"

#include <algorithm>
#include <exception>
#include <utility>

#include <fmt/core.h>

#include "base/aligned_buffer.h"
#include "base/barrier.h"
#include "base/random_bytes.h"
#include "keys/key_ring_state.h"
#include "keys/key_rotation.h"
#include "keys/key_slots.h"
#include "store/header_area_device.h"

namespace vnvram {

namespace {

constexpr std::uint32_t ring_step_blocks = 256;
// All is read, sealed, and overwritten where it was; then the ring is.
constexpr unsigned pass_count = 3;
constexpr const char* exchange_name = "an exchange of the data key"; // For what is poisoned by it.

} // namespace

Result<KeyExchange::NewKey> KeyExchange::make_key() const {
  std::vector<std::byte> bytes(format::ImageKeys::data_key_size_bytes);
  const Status made = random_bytes(bytes);
  if (!made) {
    return made.error();
  }
  NewKey key{.data_key = SecretBytes(std::move(bytes)), .keys = nullptr};
  auto keys = format::ImageKeys::derive(key.data_key.get(), state_.superblock.uuid);
  if (!keys) {
    return keys.error();
  }
  key.keys = *std::move(keys);
  return key;
}

// What the image was opened with.
std::vector<KeySource> KeyExchange::own_keys() const {
  KeyRingState& own = state_.options.keys.state();
  const std::lock_guard lock(own.mutex);
  return own.sources;
}

Result<std::vector<KeySlotInfo>> KeyExchange::run(const KeyRotation& rotation) {
  const Status refused = state_.refuse_any_write();
  if (!refused) {
    return refused.error();
  }
  if (!state_.codec.seals()) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("{}: the image is not encrypted", state_.device->name()),
                 "`encrypt` makes an encrypted one of it");
  }
  format::Superblock superblock{};
  {
    const std::lock_guard lock(state_.mutex);
    superblock = state_.superblock;
  }
  const KeyedImage image{superblock.uuid, superblock.key_id};
  const Result<SecretBytes> data_key =
      find_data_key(*state_.device, superblock, state_.options.keys);
  const Result<NewKey> key = data_key ? make_key() : data_key.error();
  if (!key) {
    return key.error();
  }
  const auto left_out = wrap(image, data_key->get(), *key, rotation);
  if (!left_out) {
    return left_out.error();
  }
  const Status done = exchange(superblock.uuid, *key, rotation);
  if (!done) {
    return done.error();
  }
  forget_data_key(state_.options.keys, image);
  std::vector<KeySlotInfo> infos;
  for (const format::KeySlot& slot : *left_out) {
    infos.push_back(key_slot_info(slot, image));
  }
  return infos;
}

Result<format::KeySlots> KeyExchange::wrap(const KeyedImage& image,
                                           std::span<const std::byte> data_key, const NewKey& key,
                                           const KeyRotation& rotation) {
  HeaderAreaDevice device(state_, owner_);
  auto left_out =
      wrap_new_data_key(device, image, data_key, key.data_key.get(), rotation.holders,
                        rotation.leave_out_others ? KeylessSlots::leave_out : KeylessSlots::refuse,
                        own_keys(), rotation.without);
  const Status done = device.ended(left_out ? Status() : left_out.error(), exchange_name);
  return done ? std::move(left_out) : done.error();
}

Status KeyExchange::drop_old_wraps(const KeyedImage& image) {
  HeaderAreaDevice device(state_, owner_);
  return device.ended(drop_other_wraps(device, image), exchange_name);
}

Status KeyExchange::exchange(const Uuid& uuid, const NewKey& key, const KeyRotation& rotation) {
  Status done = anchor_.announce({.next_key = key.keys->id()});
  if (!done) {
    return done;
  }
  committer_.read_in_turn([&] {
    try {
      done = seal_anew(key, rotation);
    } catch (const std::exception& failure) {
      done = state_.poison(failure, exchange_name);
    }
  });
  // What has failed before it wrote anything has not taken the announcement back: the next one, or
  // the next opening, does.
  done = done ? anchor_.announce({.next_key = format::KeyId{}}) : done;
  // INV9e: the old key goes when nothing is left that it opens. Else the next opening for writing
  // does it.
  return done ? drop_old_wraps({uuid, key.keys->id()}) : done;
}

// INV9f: the first of the two superblocks leads to homes that are all sealed with the new key.
Status KeyExchange::seal_anew(const NewKey& key, const KeyRotation& rotation) {
  const auto prepare = [&]() -> Status {
    if (Status taken = take_all_pages(rotation); !taken) {
      return taken;
    }
    const std::lock_guard lock(state_.mutex);
    state_.codec = format::Codec(state_.superblock, key.keys);
    state_.pages.seal_with(state_.codec);
    remember_image_keys(state_.options.keys, key.data_key.get(), key.keys);
    return {};
  };
  // The ring's records are in the homes then. None that is sealed with the old key counts again.
  const auto same = [](format::Superblock&) {};
  Status done = checkpointer_.run(true, same, prepare);
  done = done ? checkpointer_.run(true, same) : done;
  if (done) {
    tell(rotation, pass_count - 1, 0);
    checkpointer_.between_checkpoints([&] {
      done = kept(Barrier::old_key_overwritten) ? overwrite_what_was(rotation) : Status{};
    });
  }
  return done;
}

void KeyExchange::tell(const KeyRotation& rotation, unsigned passes,
                       std::uint64_t done_bytes) const {
  if (rotation.progress) {
    const std::uint64_t pass_bytes = state_.geometry.space_size_bytes();
    const std::uint64_t ring_bytes =
        std::uint64_t{state_.geometry.ring_block_count()} * block_size_bytes;
    rotation.progress(passes * pass_bytes + done_bytes, pass_count * pass_bytes + ring_bytes);
  }
}

// They are changed, as far as the next checkpoint knows.
Status KeyExchange::take_all_pages(const KeyRotation& rotation) {
  for (std::uint32_t zone = 0; zone < state_.geometry.zone_count(); ++zone) {
    const auto pages = state_.pages.pages_in_slots(zone);
    if (!pages) {
      return pages.error();
    }
    std::vector<PageUpdate> updates;
    for (const std::uint32_t page : *pages) {
      Result<PageRef> content = state_.pages.load(page);
      if (!content) {
        return content.error();
      }
      updates.push_back({page, *std::move(content)});
    }
    state_.pages.install(updates);
    tell(rotation, 0, std::uint64_t{state_.geometry.pages_of(zone).end} * block_size_bytes);
  }
  return {};
}

// INV9g: who has the old key, and a copy of the slots, reads nothing here any more. What nothing
// points to for us another owner's superblock may point to: whose image it is is asked once for
// each zone, as it is for a checkpoint, and for each piece of the ring.
Status KeyExchange::overwrite_what_was(const KeyRotation& rotation) {
  const auto zone_done = [&](std::uint64_t done_bytes) {
    tell(rotation, pass_count - 1, done_bytes);
    return owner_.look();
  };
  Status done = owner_.look();
  done = done ? state_.pages.overwrite_other_slots(zone_done) : done;
  done = done ? overwrite_ring(rotation) : done;
  done = done ? state_.device->flush() : done;
  return done ? done : Status(state_.poison(done.error(), exchange_name));
}

Status KeyExchange::overwrite_ring(const KeyRotation& rotation) {
  const std::uint32_t block_count = state_.geometry.ring_block_count();
  AlignedBuffer noise(std::size_t{ring_step_blocks} * block_size_bytes);
  Status done;
  for (std::uint32_t at = 0; done && at < block_count; at += ring_step_blocks) {
    const auto some = noise.span().first(std::size_t{std::min(ring_step_blocks, block_count - at)} *
                                         block_size_bytes);
    done = owner_.look();
    done = done ? random_bytes(some) : done;
    done = done ? state_.device->write(format::Geometry::ring_block(at) * block_size_bytes, some)
                : done;
    tell(rotation, pass_count, std::uint64_t{at} * block_size_bytes + some.size());
  }
  return done;
}

} // namespace vnvram
