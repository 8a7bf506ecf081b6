#include "cli/rate_options.h"

namespace vnvram::cli {

RateOptions::RateOptions(CLI::App& app) {
  app.add_option("--rate-bytes", rates_.sent_max_bytes,
                 "bytes that each session may send in a second; no limit unless given")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--rate-requests", rates_.calls_max,
                 "requests that each session may make in a second; no limit unless given")
      ->check(CLI::NonNegativeNumber);
}

std::vector<std::string> RateOptions::arguments() const {
  return {"--rate-bytes", std::to_string(rates_.sent_max_bytes), "--rate-requests",
          std::to_string(rates_.calls_max)};
}

} // namespace vnvram::cli
