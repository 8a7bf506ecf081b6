#include "capi/open_options.h"

#include <chrono>

#include "capi/arguments.h"

namespace vnvram::capi {
namespace {

// Room for a member at the end would let a size mean two things: see earlier_sizes_bytes.
static_assert(offsetof(vnvram_open_options, grow_max) + sizeof(std::uint64_t) ==
              sizeof(vnvram_open_options));

constexpr std::uint32_t known_flags = VNVRAM_OPEN_READ_ONLY | VNVRAM_OPEN_EVENT_FD |
                                      VNVRAM_OPEN_NO_BACKGROUND | VNVRAM_OPEN_NO_IDLE_CHECKPOINT |
                                      VNVRAM_OPEN_NO_DEFERRAL | VNVRAM_OPEN_THREADS_LATE |
                                      VNVRAM_OPEN_WITHOUT_SPACE | VNVRAM_OPEN_TAKE_OVER |
                                      VNVRAM_OPEN_OWNER_IS_DEAD | VNVRAM_OPEN_RESERVE;
constexpr std::uint64_t deferral_us_max = std::uint64_t{3600} * 1000 * 1000;

Status take_known_attributes(const vnvram_open_options& given, OpenOptions& result) {
  if (given.known_attributes == nullptr && given.known_attribute_count > 0) {
    return invalid("known_attributes is NULL and their count is not 0");
  }
  for (std::size_t i = 0; i < given.known_attribute_count; ++i) {
    auto name = take_string(given.known_attributes[i], "a known attribute");
    if (!name) {
      return name.error();
    }
    result.known_attributes.insert(std::move(*name));
  }
  return {};
}

Status take_times(const vnvram_open_options& given, OpenOptions& result) {
  if (given.deferral_us > deferral_us_max) {
    return invalid("vnvram_open_options: deferral_us is more than an hour");
  }
  if (given.deferral_us != 0) {
    result.deferral = std::chrono::microseconds(given.deferral_us);
  }
  if ((given.flags & VNVRAM_OPEN_NO_DEFERRAL) != 0) {
    result.deferral = std::chrono::microseconds(0);
  }
  if (given.idle_checkpoint_ms != 0) {
    result.idle_checkpoint_after = std::chrono::milliseconds(given.idle_checkpoint_ms);
  }
  if ((given.flags & VNVRAM_OPEN_NO_IDLE_CHECKPOINT) != 0) {
    result.idle_checkpoint_after = std::chrono::milliseconds(0);
  }
  return {};
}

Status take_anchor(const vnvram_open_options& given, OpenOptions& result) {
  if (given.anchor == nullptr) {
    return given.anchor_policy == nullptr
               ? Status{}
               : invalid("vnvram_open_options: anchor_policy without anchor");
  }
  if (given.anchor_policy != nullptr) {
    const auto policy = parse_anchor_policy(given.anchor_policy);
    if (!policy) {
      return policy.error();
    }
    result.anchor.policy = *policy;
  }
  if ((given.flags & VNVRAM_OPEN_READ_ONLY) != 0) {
    return {};
  }
  auto anchor = open_anchor(given.anchor);
  if (!anchor) {
    return anchor.error();
  }
  result.anchor.anchor = *std::move(anchor);
  return {};
}

} // namespace

Result<OpenOptions> take_open_options(const vnvram_open_options* options) {
  OpenOptions result;
  if (options == nullptr) {
    return result;
  }
  const auto given = take_struct(options, "vnvram_open_options");
  if (!given) {
    return given.error();
  }
  if ((given->flags & ~known_flags) != 0) {
    return Error(ErrorKind::unsupported, "vnvram_open_options: flags has an unknown bit",
                 "use a library that is as new as the program's headers");
  }
  const bool takes_over = (given->flags & VNVRAM_OPEN_TAKE_OVER) != 0;
  if ((takes_over && (given->flags & VNVRAM_OPEN_READ_ONLY) != 0) ||
      (!takes_over && (given->flags & VNVRAM_OPEN_OWNER_IS_DEAD) != 0)) {
    return Error(ErrorKind::invalid_argument, "vnvram_open_options: flags contradict each other",
                 "VNVRAM_OPEN_TAKE_OVER is for writing, VNVRAM_OPEN_OWNER_IS_DEAD goes with it");
  }
  auto specs = take_specs(given->blobs, given->blob_count);
  if (!specs) {
    return specs.error();
  }
  result.blobs = std::move(*specs);
  auto keys = take_key_ring(given->keys, given->key_count);
  if (!keys) {
    return keys.error();
  }
  result.keys = *std::move(keys);
  Status taken = take_known_attributes(*given, result);
  taken = taken ? take_times(*given, result) : taken;
  taken = taken ? take_anchor(*given, result) : taken;
  if (!taken) {
    return taken.error();
  }
  const auto flag = [&](std::uint32_t bit) { return (given->flags & bit) != 0; };
  result.access = flag(VNVRAM_OPEN_READ_ONLY) ? Access::read_only : Access::read_write;
  result.callbacks =
      flag(VNVRAM_OPEN_EVENT_FD) ? CallbackMode::event_fd : CallbackMode::store_thread;
  result.grow_max_bytes = given->grow_max;
  result.background = !flag(VNVRAM_OPEN_NO_BACKGROUND);
  result.threads_late = flag(VNVRAM_OPEN_THREADS_LATE);
  if (given->cache_size != 0) {
    result.cache_size_bytes = given->cache_size;
  }
  return result;
}

} // namespace vnvram::capi
