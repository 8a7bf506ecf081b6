#include "serve/metric_list.h"

#include <chrono>
#include <cstdint>
#include <limits>

#include <prometheus/text_serializer.h>

namespace vnvram {
namespace {

using Seconds = std::chrono::duration<double>;

} // namespace

MetricList& MetricList::begin(const std::string& name, const std::string& help,
                              prometheus::MetricType type) {
  families_.push_back({.name = "vnvram_" + name, .help = help, .type = type, .metric = {}});
  return *this;
}

void MetricList::value(double value, Labels labels) {
  prometheus::MetricFamily& family = families_.back();
  prometheus::ClientMetric& metric = family.metric.emplace_back();
  for (const auto& [name, text] : labels) {
    metric.label.push_back({.name = name, .value = text});
  }
  if (family.type == prometheus::MetricType::Counter) {
    metric.counter.value = value;
  } else {
    metric.gauge.value = value;
  }
}

void MetricList::commit_durations(const std::string& name, const std::string& help,
                                  const StoreCounters& counters) {
  begin(name, help, prometheus::MetricType::Histogram);
  auto& histogram = families_.back().metric.emplace_back().histogram;
  std::uint64_t count = 0;
  for (std::size_t of = 0; of < counters.commits_by_duration.size(); ++of) {
    count += counters.commits_by_duration[of];
    const double bound = of < commit_duration_bounds_max.size()
                             ? Seconds(commit_duration_bounds_max[of]).count()
                             : std::numeric_limits<double>::infinity();
    histogram.bucket.push_back({.cumulative_count = count, .upper_bound = bound});
  }
  histogram.sample_count = count;
  histogram.sample_sum = Seconds(counters.commit_duration_sum).count();
}

std::string MetricList::text() const {
  std::vector<prometheus::MetricFamily> families;
  for (const prometheus::MetricFamily& family : families_) {
    if (!family.metric.empty()) {
      families.push_back(family);
    }
  }
  return prometheus::TextSerializer().Serialize(families);
}

} // namespace vnvram
