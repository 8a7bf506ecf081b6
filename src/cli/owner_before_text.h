// Whom an owner comes after, as the process that starts it says: EPOCH:PID,PID,...
#pragma once

#include <optional>
#include <string_view>

#include "vnvram/store.h"

namespace vnvram::cli {

/// Nothing: it is no such text.
[[nodiscard]] std::optional<OwnerBefore> owner_before_of(std::string_view text);

} // namespace vnvram::cli
