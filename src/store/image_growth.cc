#include "store/image_growth.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <functional>
#include <optional>

#include <fmt/core.h>

#include "device/space_keeper.h"
#include "store/random_blocks.h"
#include "store/third_copy.h"

namespace vnvram {

using format::Geometry;

namespace {

// An image grows by this much at least, and by an eighth of itself: so that it does not for each
// small blob.
constexpr std::uint64_t growth_step_bytes = std::uint64_t{1} << 20U;
constexpr std::uint64_t growth_part = 8;
constexpr std::uint64_t third_copy_room_bytes =
    format::third_copy_blocks_from_end * block_size_bytes;

std::uint64_t rounded_up(std::uint64_t number, std::uint64_t unit) {
  return (number + unit - 1) / unit * unit;
}

} // namespace

Status ImageGrowth::lengthen_device(std::uint64_t size_bytes) {
  const Result<std::uint64_t> now = state_.device->size_bytes();
  if (!now) {
    return now.error();
  }
  return *now < size_bytes ? state_.device->resize(size_bytes) : Status{};
}

// But for the one where the third superblock is until now: a cut must not cost it.
ImageGrowth::Blocks ImageGrowth::added_blocks(std::uint64_t image_block_count) const {
  const std::uint64_t from = state_.geometry.image_block_count();
  const std::uint64_t third = std::clamp(
      superblocks_.third_copy_block().value_or(image_block_count), from, image_block_count);
  const auto range = [](std::uint64_t first, std::uint64_t end) {
    return format::NumberRange{static_cast<std::uint32_t>(first), static_cast<std::uint32_t>(end)};
  };
  return {range(from, third), range(std::min(third + 1, image_block_count), image_block_count)};
}

Status ImageGrowth::reserve(const Blocks& blocks) {
  Status done;
  for (const format::NumberRange& part : blocks) {
    if (done && part.count() > 0) {
      done = ensure_added_space(*state_.device, {std::uint64_t{part.first} * block_size_bytes,
                                                 std::uint64_t{part.count()} * block_size_bytes});
    }
  }
  return done;
}

// Asked before each step: what another owner has made of it since must not be written over.
Status ImageGrowth::fill_if_encrypted(const Blocks& blocks) {
  Status done;
  for (const format::NumberRange& part : blocks) {
    if (done && state_.codec.seals()) {
      done = fill_with_random(*state_.device, part.first, part.end, [&] { return owner_.look(); });
    }
  }
  return done;
}

// With no checkpoint under way, and so with nothing of the image's content that waits for a flush:
// a growth that finds no space has cost nothing.
Status ImageGrowth::prepare(std::uint64_t image_block_count, std::uint64_t device_size_bytes) {
  Status done = owner_.look();
  done = done ? lengthen_device(device_size_bytes) : done;
  const Blocks added = added_blocks(image_block_count);
  done = done ? reserve(added) : done;
  done = done ? fill_if_encrypted(added) : done;
  if (done) {
    format::Superblock grown = state_.superblock;
    grown.image_block_count = image_block_count;
    superblocks_.find_third_copy(grown);
  }
  return poison_if_failed(done);
}

// No space, or a device that cannot: nothing was tried that could have been done in part.
Status ImageGrowth::poison_if_failed(const Status& done) {
  return !done && done.error().kind() == ErrorKind::io
             ? Status(state_.poison(done.error(), "its growth"))
             : done;
}

Status ImageGrowth::grow(std::uint64_t image_block_count, std::uint64_t device_size_bytes) {
  const std::uint64_t from = state_.geometry.image_block_count();
  if (image_block_count <= from) {
    return lengthen_device(device_size_bytes);
  }
  const std::optional<std::uint64_t> old_third = superblocks_.third_copy_block();
  const Geometry geometry(image_block_count, state_.geometry.ring_block_count(),
                          state_.geometry.entry_size_bytes());
  assert(geometry.valid());
  // Twice, so that both copies know the new size.
  Status done;
  for (int copy = 0; done && copy < 2; ++copy) {
    done = checkpointer_.run(
        true,
        [&](format::Superblock& superblock) { superblock.image_block_count = image_block_count; },
        [&] { return copy == 0 ? prepare(image_block_count, device_size_bytes) : Status{}; });
  }
  if (!done) {
    return done;
  }
  const Result<std::uint64_t> size = state_.device->size_bytes();
  checkpointer_.between_checkpoints([&] {
    const std::lock_guard lock(state_.mutex);
    state_.device_block_count = size ? *size / block_size_bytes : image_block_count;
    state_.geometry = geometry;
    state_.pages.grow(geometry);
    state_.directory.grow(geometry.page_count());
  });
  const bool third_is_inside = old_third && *old_third >= from && *old_third < image_block_count;
  const auto third = static_cast<std::uint32_t>(third_is_inside ? *old_third : 0);
  return third_is_inside ? poison_if_failed(fill_if_encrypted({{third, third + 1}})) : Status{};
}

std::uint64_t ImageGrowth::image_size_bytes() const {
  const std::uint64_t blocks = state_.geometry.image_block_count();
  return (blocks * block_size_bytes) +
         (third_copy_block(blocks, state_.device_block_count) ? third_copy_room_bytes : 0);
}

Error ImageGrowth::cannot_grow(const Error& error) const {
  const bool lacks_room =
      error.kind() == ErrorKind::unsupported || error.kind() == ErrorKind::no_space;
  return {lacks_room ? ErrorKind::no_space : error.kind(),
          fmt::format("the image of {} bytes is too small, and cannot grow: {}", image_size_bytes(),
                      error.cause()),
          error.remedy()};
}

Status ImageGrowth::make_room(std::uint32_t page_count) {
  const Geometry& now = state_.geometry;
  const std::uint64_t least_blocks =
      Geometry::blocks_for(now.ring_block_count(), page_count, now.entry_size_bytes());
  const std::uint64_t least_bytes = (least_blocks * block_size_bytes) + third_copy_room_bytes;
  const std::uint64_t bound_bytes = std::min(state_.options.grow_max_bytes, image_size_max_bytes) /
                                    block_size_bytes * block_size_bytes;
  const Geometry least(least_blocks, now.ring_block_count(), now.entry_size_bytes());
  if (least.page_count() < page_count) {
    return Error(ErrorKind::no_space,
                 fmt::format("an image like this one has {} pages at most, and these blobs need {}",
                             least.page_count(), page_count),
                 "put them into an image of their own");
  }
  if (least_bytes > bound_bytes) {
    return Error(ErrorKind::no_space,
                 fmt::format("the image would have to be {} bytes long, and may grow to {}",
                             least_bytes, bound_bytes),
                 "let it grow further: `--grow`");
  }
  const Result<std::uint64_t> device_bytes = state_.device->size_bytes();
  if (!device_bytes) {
    return device_bytes.error();
  }
  const std::uint64_t from_bytes = image_size_bytes();
  std::uint64_t generous_bytes = std::min(
      bound_bytes, rounded_up(std::max(least_bytes, from_bytes + std::max(from_bytes / growth_part,
                                                                          growth_step_bytes)),
                              growth_step_bytes));
  if (!state_.device->capabilities().resize) { // It has what it has.
    generous_bytes = std::max(
        least_bytes, std::min(generous_bytes, *device_bytes / block_size_bytes * block_size_bytes));
  }
  // What a host has no space for may still do without what is to spare.
  Status done;
  for (const std::uint64_t size_bytes : std::array{generous_bytes, least_bytes}) {
    done = grow((size_bytes - third_copy_room_bytes) / block_size_bytes, size_bytes);
    if (done || done.error().kind() != ErrorKind::no_space || !state_.refuse_any_write()) {
      break;
    }
  }
  if (!done) {
    return cannot_grow(done.error());
  }
  if (state_.options.grown) {
    state_.options.grown(from_bytes, image_size_bytes());
  }
  return {};
}

} // namespace vnvram
