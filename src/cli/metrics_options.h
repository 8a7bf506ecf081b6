// Where `vnvram serve` has its metrics asked for by HTTP, if anywhere.
#pragma once

#include <CLI/App.hpp>
#include <memory>
#include <optional>
#include <string>

#include "serve/metrics_server.h"
#include "serve/owner_server.h"
#include "service/listener.h"
#include "service/log.h"

namespace vnvram::cli {

class MetricsOptions {
public:
  explicit MetricsOptions(CLI::App& app);

  /// None: nobody is to ask. Errors: invalid_argument (an address that others can reach), and those
  /// of Listener::open().
  [[nodiscard]] Result<std::optional<Listener>> open() const;

private:
  std::string address_;
  std::string mode_;
  std::string group_;
};

/// Answers on the listener with the server's metrics; none if there is no listener. What it is
/// given outlives it.
Result<std::unique_ptr<MetricsServer>> serve_metrics(const std::optional<Listener>& listener,
                                                     const OwnerServer& server, const Log& log);

} // namespace vnvram::cli
