// Which anchor a command's image has, and when it is written.
#pragma once

#include <CLI/App.hpp>
#include <memory>
#include <string>
#include <vector>

#include "vnvram/anchor.h"

namespace vnvram::cli {

class AnchorOptions {
public:
  /// Declares --anchor, and --anchor-policy for a command that has the image open for long.
  static AnchorOptions of_work(CLI::App& app) { return {app, false}; }
  static AnchorOptions of_owner(CLI::App& app) { return {app, true}; }

  [[nodiscard]] bool given() const { return !values_->anchor.empty(); }
  /// Opens it, if one is given. Errors: those of open_anchor(); invalid_argument.
  [[nodiscard]] Result<AnchorUse> open() const;
  /// The same options, for another process.
  [[nodiscard]] std::vector<std::string> arguments() const;

private:
  struct Values {
    std::string anchor;
    std::string policy;
  };
  AnchorOptions(CLI::App& app, bool with_policy);

  std::shared_ptr<Values> values_ = std::make_shared<Values>(); ///< CLI11 knows where it is.
};

} // namespace vnvram::cli
