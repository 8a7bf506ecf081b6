// An ImageDump as text and as JSON.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "rescue/image_dump.h"

namespace vnvram::cli {

std::string dump_text(const ImageDump& dump);
nlohmann::ordered_json dump_json(const ImageDump& dump);

} // namespace vnvram::cli
