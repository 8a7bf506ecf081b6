// vnvram-bench: what a commit costs, in device operations first, then in time next to the floor.
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <system_error>

#include <CLI/CLI.hpp>
#include <fmt/core.h>

#include "bench/measurements.h"
#include "bench/report.h"

namespace vnvram::bench {
namespace {

/// Too little for times that mean anything, enough to count.
constexpr Amount quick_amount = {.counted_commits = 400,
                                 .timed_commits = 20,
                                 .thread_rounds = 1,
                                 .thread_seconds = 0.05,
                                 .openings = 1};

/// Below the given directory, and gone at the end.
class WorkingDirectory {
public:
  explicit WorkingDirectory(const std::string& parent) : path_(parent + "/vnvram-bench-XXXXXX") {
    if (::mkdtemp(path_.data()) == nullptr) {
      throw std::runtime_error("cannot make a directory in " + parent);
    }
  }
  ~WorkingDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  WorkingDirectory(const WorkingDirectory&) = delete;
  WorkingDirectory& operator=(const WorkingDirectory&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

private:
  std::string path_;
};

int run(const std::string& parent, bool quick, bool json, bool rbd) {
  const Amount amount = quick ? quick_amount : Amount{};
  const WorkingDirectory directory(parent);
  Report report;
  report.quick = quick;
  report.environment = find_environment(directory.path());
  report.costs = count_commits(directory.path(), amount, report.checkpoints);
  report.latency = time_commits(directory.path(), amount);
  report.nbd = measure_nbd(directory.path(), amount);
  if (rbd) {
    report.rbd = measure_rbd(amount);
  }
  report.owner_check = measure_owner_check(directory.path(), amount);
  report.anchors = measure_anchors(directory.path(), amount);
  report.encryption = measure_encryption(directory.path(), amount);
  report.threads = time_threads(directory.path(), amount);
  report.remote = measure_remote(directory.path(), amount);
  report.opening = time_opening(directory.path(), amount);
  fmt::print("{}\n", json ? as_json(report) : as_text(report));
  const std::string problem = excess(report);
  if (!problem.empty()) {
    fmt::print(stderr, "vnvram-bench: {}\n", problem);
    return 1;
  }
  return 0;
}

} // namespace
} // namespace vnvram::bench

int main(int argc, char** argv) {
  CLI::App app(
      "What a vNVRAM commit costs: writes, bytes and flushes, then time next to the floor.");
  bool quick = false;
  bool json = false;
  bool rbd = false;
  std::string directory = ".";
  app.add_flag("--quick", quick, "a short run: only what is counted; its times would say nothing");
  app.add_flag("--json", json, "for programs");
  app.add_flag("--rbd", rbd, "on a Ceph cluster, too, which is started for that");
  app.add_option("--dir", directory, "where the images are made; it decides which disk is measured")
      ->check(CLI::ExistingDirectory);
  CLI11_PARSE(app, argc, argv);
  try {
    return vnvram::bench::run(directory, quick, json, rbd);
  } catch (const std::exception& error) {
    fmt::print(stderr, "vnvram-bench: {}\n", error.what());
    return 1;
  }
}
