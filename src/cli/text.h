// Bytes that came from an image, made fit for a terminal or for JSON.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "vnvram/blob.h"

namespace vnvram::cli {

/// Bytes that are not printable ASCII become \xNN, so that an image cannot steer a terminal.
std::string printable(std::string_view text);

/// A list of {"name", "value", "value_hex", "must_know"}.
nlohmann::ordered_json attributes_json(const std::vector<Attribute>& attributes);

/// Lines of cells, the columns as wide as their widest cell; those named in `right` are set flush
/// right.
std::string table(const std::vector<std::vector<std::string>>& lines,
                  const std::vector<bool>& right);

} // namespace vnvram::cli
