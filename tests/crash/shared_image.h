// An image that two hosts reach, and the ways in which each of them may go on with it.
#pragma once

#include <memory>
#include <optional>

#include "crash/store_state.h"
#include "support/simulated_device.h"
#include "vnvram/store.h"

namespace vnvram::test {

[[nodiscard]] HandOverNumber hand_over_number(unsigned value);

/// With the blob "a", of 9,000 bytes, and a ring of 64 KiB.
[[nodiscard]] std::shared_ptr<SimulatedDisk> shared_disk(bool encrypted, StoreState& content);

/// nullopt: as somebody who knows of no hand-over.
Result<std::unique_ptr<Store>> open_as(const std::shared_ptr<SimulatedDisk>& disk,
                                       const std::optional<GoOn>& go_on, bool locks = true);

[[nodiscard]] OwnerEpoch epoch_of(const Store& store);

/// How each of the two would go on from one hand-over.
struct Ways {
  GoOn destination;
  GoOn source;
  Ways(const HandOverNumber& number, const OwnerEpoch& source_epoch)
      : destination{.hand_over = number}, source{.hand_over = number, .own_epoch = source_epoch} {}
};

} // namespace vnvram::test
