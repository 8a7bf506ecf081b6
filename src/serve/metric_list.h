// Metrics, on their way to Prometheus.
#pragma once

#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include <prometheus/metric_family.h>

#include "vnvram/store_counters.h"

namespace vnvram {

/// Used once: filled, and written out. Threads: one at a time.
class MetricList {
public:
  using Labels = std::initializer_list<std::pair<const char*, std::string>>;

  /// The metric that values are added to from now on. `name` without the "vnvram_" that all begin
  /// with. A metric that gets no value is left out.
  MetricList& counter(const std::string& name, const std::string& help) {
    return begin(name, help, prometheus::MetricType::Counter);
  }
  MetricList& gauge(const std::string& name, const std::string& help) {
    return begin(name, help, prometheus::MetricType::Gauge);
  }
  void value(double value, Labels labels = {});
  /// The durations of commits, as a metric of their own.
  void commit_durations(const std::string& name, const std::string& help,
                        const StoreCounters& counters);

  /// In Prometheus's text format.
  [[nodiscard]] std::string text() const;

private:
  MetricList& begin(const std::string& name, const std::string& help, prometheus::MetricType type);

  std::vector<prometheus::MetricFamily> families_;
};

} // namespace vnvram
