// --grow: of a command that opens an image in which blobs may be registered.
#pragma once

#include <CLI/App.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "vnvram/result.h"

namespace vnvram::cli {

class GrowOption {
public:
  explicit GrowOption(CLI::App& app);
  GrowOption(const GrowOption&) = delete;
  GrowOption& operator=(const GrowOption&) = delete;

  /// OpenOptions::grow_max_bytes. Errors: invalid_argument.
  [[nodiscard]] Result<std::uint64_t> max_bytes() const;
  /// The same for another process of this command.
  [[nodiscard]] std::vector<std::string> arguments() const;

private:
  std::string max_;
};

} // namespace vnvram::cli
