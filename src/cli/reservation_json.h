// Who has a block device reserved, for scripts.
#pragma once

#include <optional>

#include <nlohmann/json_fwd.hpp>

#include "device/reservation_look.h"

namespace vnvram::cli {

/// null of what is no block device.
nlohmann::ordered_json reservation_json(const std::optional<ReservationLook>& look);

} // namespace vnvram::cli
