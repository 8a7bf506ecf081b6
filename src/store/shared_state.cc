#include "store/shared_state.h"

#include <algorithm>
#include <utility>

#include <fmt/core.h>

#include "store/sealed_error.h"
#include "store/superblock_reader.h"

namespace vnvram {

SharedState::SharedState(std::unique_ptr<BlockDevice> opened, const format::Superblock& found,
                         format::Codec unlocked, OpenOptions wanted)
    : device(std::make_unique<CountedDevice>(std::move(opened))), options(std::move(wanted)),
      clock(options.clock == nullptr ? system_clock : *options.clock), codec(std::move(unlocked)),
      geometry(format::geometry_of(found)),
      pages(*device, found, codec, std::max(options.cache_size_bytes, cache_size_min_bytes)),
      epoch_number(found.epoch_number), epoch_random(found.epoch_random),
      known_attributes(options.known_attributes), directory(geometry.page_count()),
      ring(ring_start(found)), superblock(found),
      deferred(DeferredWrites::limits_for(geometry, pages.cache_size_bytes())),
      sealed((found.features_must_know & format::feature_sealed) != 0) {
  know_attributes_of(options.blobs);
  const Result<std::uint64_t> size = device->size_bytes();
  device_block_count = size ? *size / block_size_bytes : found.image_block_count;
}

std::optional<Error> SharedState::reason_to_refuse() const {
  if (!writes()) {
    return Error{ErrorKind::read_only, fmt::format("{}: opened read-only", device->name())};
  }
  if (poisoned) {
    return Error{ErrorKind::poisoned,
                 fmt::format("{}: no commit since an earlier failure: {}", device->name(),
                             poisoned->cause()),
                 poisoned->kind() == ErrorKind::in_use // It is another owner's now.
                     ? poisoned->remedy()
                     : "mend the device, then open the image again"};
  }
  return std::nullopt;
}

std::optional<Error> SharedState::reason_to_refuse_commit() const {
  std::optional<Error> reason = reason_to_refuse();
  if (!reason && sealed) {
    reason = sealed_error(device->name(), ring.sequence, HandOverNumber{superblock.hand_over});
  }
  return reason;
}

Status SharedState::refuse_any_write() const {
  const std::lock_guard lock(mutex);
  const std::optional<Error> reason = reason_to_refuse();
  return reason ? Status(*reason) : Status{};
}

Status SharedState::refuse_commit() const {
  const std::lock_guard lock(mutex);
  const std::optional<Error> reason = reason_to_refuse_commit();
  return reason ? Status(*reason) : Status{};
}

Status SharedState::refuse_worn_counters() const {
  const std::lock_guard lock(mutex);
  return check_counters(device->name(), superblock, ring.sequence);
}

Error SharedState::poison(const Error& cause, std::string_view during) {
  const std::lock_guard lock(mutex);
  if (!poisoned) {
    poisoned =
        Error{cause.kind(), fmt::format("{} failed: {}", during, cause.cause()), cause.remedy()};
  }
  room.notify_all();
  return {cause.kind(), poisoned->cause(),
          cause.remedy().empty()
              ? "it may or may not be on the image; mend the device, then open the image again"
              : cause.remedy()};
}

Error SharedState::poison(const std::exception& failure, std::string_view during) {
  const Error cause(ErrorKind::io, fmt::format("{}: {}", device->name(), failure.what()),
                    "open the image again");
  return poison(cause, during);
}

void SharedState::note_background(const Status& done) {
  {
    const std::lock_guard lock(mutex);
    if (std::exchange(failing_in_background, !done.ok()) || done) {
      return;
    }
  }
  if (options.failed_in_background) {
    options.failed_in_background(done.error());
  }
}

void SharedState::tell_changed(std::uint64_t generation, bool is_sealed) const {
  if (options.changed) {
    options.changed(generation, is_sealed);
  }
}

Error SharedState::of_this_image(const Error& error) const {
  const std::string name = device->name();
  return error.cause().starts_with(name)
             ? error
             : Error(error.kind(), fmt::format("{}: {}", name, error.cause()), error.remedy());
}

void SharedState::know_attributes_of(std::span<const BlobSpec> specs) {
  const std::lock_guard lock(mutex);
  for (const BlobSpec& spec : specs) {
    for (const Attribute& attribute : spec.attributes) {
      known_attributes.insert(attribute.name);
    }
  }
}

} // namespace vnvram
