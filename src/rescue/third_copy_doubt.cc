#include "rescue/third_copy_doubt.h"

#include <algorithm>

#include <fmt/core.h>

#include "rescue/ring_history.h"

namespace vnvram {

std::optional<std::string> doubt_third_copy(BlockDevice& device, const format::Superblock& third,
                                            const format::Codec& codec) {
  // What its owner has committed since is in the ring. But what overwrote the image's beginning
  // may have hit the newest record, and nothing would tell.
  if (third.clean == 0) {
    return "the image was in use: the third copy does not tell what was committed last";
  }
  const RingHistory history(device, third, codec);
  if (!history.complete()) {
    return "the ring, which may hold newer commits than the third copy, cannot be read";
  }
  const auto is_newer = [&](const RingHistory::Entry& entry) {
    const format::RecordHeader& header = entry.record.header();
    const bool same_epoch = header.epoch_number == third.epoch_number;
    return header.epoch_number > third.epoch_number ||
           (same_epoch &&
            (header.epoch_random != third.epoch_random || header.sequence > third.generation));
  };
  const auto& entries = history.entries();
  const auto newer = std::find_if(entries.begin(), entries.end(), is_newer);
  return newer == entries.end()
             ? std::nullopt
             : std::optional(
                   fmt::format("the third copy is of generation {}, while the ring has a record of "
                               "generation {}",
                               third.generation, newer->record.header().sequence));
}

} // namespace vnvram
