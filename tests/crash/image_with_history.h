// Images for the tests of repair and salvage, and what was in them at each time.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "device/memory_device.h"
#include "vnvram/rescue.h"
#include "vnvram/store.h"

namespace vnvram::test {

/// What each blob held after each generation that changed it.
using Versions = std::map<std::string, std::map<std::uint64_t, std::vector<std::byte>>>;

struct ImageWithHistory {
  std::vector<std::byte> bytes;
  Versions versions;
  std::vector<std::vector<std::byte>> earlier; ///< As it was on the way.

  [[nodiscard]] std::uint64_t generation() const {
    std::uint64_t newest = 0;
    for (const auto& [name, history] : versions) {
      newest = std::max(newest, history.rbegin()->first);
    }
    return newest;
  }
};

enum class End { clean, power_cut };

[[nodiscard]] ImageWithHistory make_image_with_history(End end);
std::unique_ptr<Store> open_disk(const std::shared_ptr<MemoryDisk>& disk,
                                 Access access = Access::read_write);
/// The first one that check finds; nothing in a sound image.
[[nodiscard]] std::string first_problem(const std::vector<std::byte>& image);
/// What a repair makes of it.
[[nodiscard]] std::vector<std::byte> repaired(const std::vector<std::byte>& damaged,
                                              RepairReport& report);

} // namespace vnvram::test
