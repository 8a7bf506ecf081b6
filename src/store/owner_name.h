// What messages call an image's owner.
#pragma once

#include <string>

#include <fmt/core.h>

#include "format/superblock.h"

namespace vnvram {

/// As the superblock says; whoever has closed it has left no name there.
[[nodiscard]] inline std::string owner_name(const format::Superblock& superblock) {
  return superblock.owner_pid == 0
             ? std::string("somebody")
             : fmt::format("process {} on {}", superblock.owner_pid, superblock.owner_host.data());
}

} // namespace vnvram
