#include "crash/scenarios.h"

#include <algorithm>

#include <fmt/core.h>

#include "crash/served_workload.h"
#include "crash/shared_workload.h"
#include "crash/workload.h"
#include "support/sanitizers.h"

namespace vnvram::test {
namespace {

// What sanitizers cost, taken off the amount that is tried. A scenario runs in one thread: what the
// thread sanitizer is there for is in the stress tests.
constexpr unsigned slowdown = under_thread_sanitizer ? 30 : under_address_sanitizer ? 12 : 1;
constexpr unsigned deep_slowdown = under_thread_sanitizer ? 16 : under_address_sanitizer ? 4 : 1;

ExplorerBudget thorough() {
  return {};
}

ExplorerBudget quick() {
  return {.exhaustive_limit = 16,
          .samples = 5,
          .torn_samples = 1,
          .process_death_every = 24,
          .depth = 1,
          .deep_every = 150};
}

/// All subsets of up to twelve sectors.
ExplorerBudget exhaustive() {
  return {.exhaustive_limit = 4096, .samples = 40, .torn_samples = 10};
}

/// Fewer first cuts, and from each of them several cuts deep.
ExplorerBudget deep() {
  return {.exhaustive_limit = 8,
          .samples = 4,
          .torn_samples = 1,
          .process_death_every = 12,
          .depth = 2,
          .deep_every = 40};
}

Scenario scenario(const std::string& name, const ExplorerBudget& budget, unsigned steps,
                  const WorkloadMix& mix = {}) {
  WorkloadOptions options;
  options.steps = std::max(8U, steps / slowdown);
  options.mix = mix;
  options.budget = budget;
  if (slowdown > 1) {
    options.budget.exhaustive_limit = std::min<std::uint64_t>(budget.exhaustive_limit, 16);
    options.budget.samples = std::min<std::uint64_t>(budget.samples, 4);
    options.budget.deep_every *= deep_slowdown;
    options.budget.depth = 1; // Cuts of a cut's cut need no more of the code.
  }
  return {.name = name, .options = options};
}

std::vector<Scenario> make_scenarios() {
  std::vector<Scenario> list;
  list.push_back(scenario("mixed", thorough(), 40));
  list.push_back(scenario("long", quick(), 150));
  // Automatic checkpoints every few commits, and a ring that wraps all the time.
  Scenario small = scenario("small-ring", quick(), 160, {.register_more = 1, .remove = 0});
  small.options.ring_size_bytes = std::uint64_t{32} << 10U;
  small.options.blob_size_bytes_cap = 7000;
  list.push_back(small);
  list.push_back(
      scenario("transactions", quick(), 120,
               {.write_whole = 1, .write_range = 1, .several_blobs = 12, .group_commit = 8}));
  list.push_back(scenario("registration", quick(), 100,
                          {.register_more = 20, .remove = 8, .reopen = 4, .grow_image = 4}));
  for (const bool encrypted : {false, true}) {
    Scenario growing = scenario(encrypted ? "encrypted-growing" : "growing", quick(), 60,
                                {.register_more = 20, .remove = 2, .reopen = 6, .grow_image = 0});
    growing.options.image_size_bytes = std::uint64_t{288} << 10U;
    growing.options.grows = true;
    growing.options.encrypted = encrypted;
    list.push_back(growing);
  }
  list.push_back(
      scenario("checkpoints", quick(), 100, {.checkpoint = 8, .commit_inside_checkpoint = 20}));
  list.push_back(scenario("recovery", deep(), 30, {.reopen = 6}));
  // All of that, encrypted.
  for (Scenario sealed : {scenario("encrypted", quick(), 100),
                          scenario("encrypted-recovery", deep(), 20, {.reopen = 6})}) {
    sealed.options.encrypted = true;
    list.push_back(sealed);
  }
  list.push_back(scenario("deferred", quick(), 100,
                          {.remove = 2, .deferred = 20, .flush = 4, .deferred_inside = 16}));
  list.push_back(scenario("deferred-recovery", deep(), 8,
                          {.reopen = 6, .deferred = 20, .flush = 4, .deferred_inside = 4}));
  Scenario sealed_deferred =
      scenario("encrypted-deferred", quick(), 60,
               {.remove = 2, .deferred = 20, .flush = 4, .deferred_inside = 16});
  sealed_deferred.options.encrypted = true;
  list.push_back(sealed_deferred);
  list.push_back(scenario("served", quick(), 150,
                          {.group_commit = 0,
                           .register_more = 2,
                           .deferred = 8,
                           .flush = 4,
                           .hold = 3,
                           .new_session = 3}));
  list.back().kind = Scenario::Kind::served;
  list.push_back(scenario("served-recovery", deep(), 8,
                          {.reopen = 4, .deferred = 8, .flush = 4, .hold = 2, .new_session = 2}));
  list.back().kind = Scenario::Kind::served;
  Scenario shared = scenario("served-to-many", quick(), 24);
  shared.options.steps = std::max(2U, 24U / slowdown); // A dozen changes each.
  shared.options.blob_size_bytes_cap = 7000;
  shared.kind = Scenario::Kind::shared;
  list.push_back(shared);
  list.push_back(scenario("exhaustive", exhaustive(), 15)); // Too slow for every run of the tests.
  return list;
}

template <typename Run> ExplorerReport run(const ReplayId& id, const WorkloadOptions& options) {
  return Run(id, options).run();
}

ExplorerReport run(const ReplayId& id, const Scenario& scenario) {
  switch (scenario.kind) {
  case Scenario::Kind::served: return run<ServedWorkload>(id, scenario.options);
  case Scenario::Kind::shared: return run<SharedWorkload>(id, scenario.options);
  case Scenario::Kind::local: break;
  }
  return run<Workload>(id, scenario.options);
}

} // namespace

const std::vector<Scenario>& scenarios() {
  static const std::vector<Scenario> list = make_scenarios();
  return list;
}

std::string run_scenario(const ReplayId& id, ExplorerReport* details) {
  const auto found = std::find_if(scenarios().begin(), scenarios().end(),
                                  [&](const Scenario& one) { return one.name == id.scenario; });
  if (found == scenarios().end()) {
    return fmt::format("there is no scenario {}", id.scenario);
  }
  const ExplorerReport report = run(id, *found);
  fmt::print("{}: {} images, {} recoveries cut in turn\n", id.text(), report.images,
             report.recoveries_cut);
  if (details != nullptr) {
    *details = report;
  }
  if (report.failure.empty() && report.images == 0) {
    return "no image was tried";
  }
  if (!report.failure.empty() && found->kind == Scenario::Kind::shared) {
    return report.failure + "\nits sessions run at once: the next run is another one";
  }
  return report.failure;
}

} // namespace vnvram::test
