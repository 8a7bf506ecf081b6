// How the owner and its image stand, for Prometheus.
#pragma once

#include <string>

#include "serve/owner_parts.h"

namespace vnvram {

/// In its text format, version 0.0.4. Everything is counted all the time, and put together when it
/// is asked for. Costs the device nothing but, for UEFI variables, pages that are not in memory.
/// Waits while the image is opened or closed. Threads: any.
[[nodiscard]] std::string metrics_text(const OwnerParts& owner);

} // namespace vnvram
