// Key slots as text and as JSON.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "vnvram/key.h"

namespace vnvram::cli {

/// "slot 3: passphrase "operator"".
[[nodiscard]] std::string slot_text(const KeySlotInfo& slot);
[[nodiscard]] std::string slots_text(const std::vector<KeySlotInfo>& slots);
[[nodiscard]] nlohmann::ordered_json slots_json(const std::vector<KeySlotInfo>& slots);

} // namespace vnvram::cli
