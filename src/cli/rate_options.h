// How fast a session of `vnvram serve` may ask, if it is not to be as fast as it likes.
#pragma once

#include <CLI/App.hpp>
#include <string>
#include <vector>

#include "serve/session_rates.h"

namespace vnvram::cli {

class RateOptions {
public:
  explicit RateOptions(CLI::App& app);

  [[nodiscard]] const SessionRates& rates() const { return rates_; }
  /// The same options, for another process.
  [[nodiscard]] std::vector<std::string> arguments() const;

private:
  SessionRates rates_;
};

} // namespace vnvram::cli
