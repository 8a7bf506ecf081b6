// vnvram-powercut: the crash explorer as a program, for the built-in workloads and for any
// program's own.
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include <CLI/CLI.hpp>
#include <fmt/core.h>

#include "crash/scenarios.h"
#include "powercut/trace_replayer.h"

namespace vnvram::test {
namespace {

constexpr int exit_found = 1;
constexpr int exit_trouble = 2;

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

struct ExploreOptions {
  std::string scenario;
  std::uint64_t seed = 1;
  double seconds = 60;
  std::string replay;
  bool json = false;
};

int explore_one(const ReplayId& id, std::uint64_t& images) {
  ExplorerReport report;
  const std::string failure = run_scenario(id, &report);
  images += report.images;
  if (!failure.empty()) {
    fmt::print("{}\n", failure);
  }
  return failure.empty() ? 0 : exit_found;
}

int explore(const ExploreOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  std::uint64_t images = 0;
  std::uint64_t served = 0; // Of them.
  if (!options.replay.empty()) {
    const std::optional<ReplayId> id = ReplayId::parse(options.replay);
    if (!id) {
      throw std::runtime_error("\"" + options.replay + "\" is no replay id");
    }
    const int found = explore_one(*id, images);
    fmt::print("{}\n", found == 0    ? "no failure"
                       : images == 0 ? "the id names no cut of this build's workload"
                                     : "reproduced");
    return found;
  }
  int found = 0;
  for (std::uint64_t seed = options.seed; found == 0; ++seed) {
    for (const Scenario& scenario : scenarios()) {
      const bool chosen = options.scenario.empty() || options.scenario == scenario.name;
      // Each once, however slow the machine is: the time is for more seeds.
      const bool in_time = seed == options.seed || seconds_since(start) < options.seconds;
      if (chosen && found == 0 && in_time) {
        const std::uint64_t before = images;
        found = explore_one({.scenario = scenario.name, .seed = seed, .cuts = {}}, images);
        served += scenario.kind == Scenario::Kind::local ? 0 : images - before;
      }
    }
    if (images == 0) {
      throw std::runtime_error("there is no scenario " + options.scenario);
    }
    if (seconds_since(start) >= options.seconds) {
      break;
    }
  }
  const double taken = seconds_since(start);
  if (options.json) {
    fmt::print("{{\"images\": {}, \"served\": {}, \"seconds\": {:.1f}, \"failed\": {}}}\n", images,
               served, taken, found != 0);
    return found;
  }
  fmt::print("{} images in {:.0f} s, {:.0f} in a second: {}\n", images, taken,
             static_cast<double>(images) / taken, found == 0 ? "no failure" : "FAILED");
  return found;
}

struct RecordOptions {
  std::string trace;
  std::string image;
  std::vector<std::string> command;
};

/// The recorder is beside the programs: in ../lib of a build, as of an installation.
std::string recorder_path() {
  const auto here = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  return (here.parent_path() / "lib" / "libvnvram-powercut.so").string();
}

int record(const RecordOptions& options) {
  std::filesystem::create_directory(options.trace);
  std::filesystem::copy_file(options.image, options.trace + "/base");
  const std::string operations = options.trace + "/operations";
  std::ofstream(operations, std::ios::binary).write(trace_magic.data(), trace_magic.size());
  const pid_t child = ::fork();
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL); // Whoever ends the recorder means its program.
    ::setenv(trace_file_variable, std::filesystem::absolute(options.image).c_str(), 1);
    ::setenv(trace_output_variable, std::filesystem::absolute(operations).c_str(), 1);
    ::setenv("LD_PRELOAD", recorder_path().c_str(), 1);
    std::vector<char*> arguments;
    for (const std::string& word : options.command) {
      arguments.push_back(const_cast<char*>(word.c_str()));
    }
    arguments.push_back(nullptr);
    ::execvp(arguments[0], arguments.data());
    std::perror(arguments[0]);
    ::_exit(127);
  }
  int status = 0;
  if (child < 0 || ::waitpid(child, &status, 0) != child) {
    throw std::runtime_error("cannot run " + options.command.front());
  }
  const Trace trace = Trace::load(options.trace);
  fmt::print("{}: {} operations\n", options.trace, trace.steps.size());
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

struct ReplayOptions {
  std::string trace;
  std::string only;
  std::uint64_t seed = 1;
  std::uint64_t images = 64;
};

int replay(const ReplayOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  TraceReplayer replayer(Trace::load(options.trace), options.seed, options.images);
  const TraceReport& report = replayer.run(options.only);
  if (!report.failure.empty()) {
    fmt::print("{}\n", report.failure);
  }
  fmt::print("{} operations, {} images in {:.1f} s, up to generation {}: {}\n", report.operations,
             report.images, seconds_since(start), report.generation,
             report.failure.empty() ? "no failure" : "FAILED");
  return report.failure.empty() ? 0 : exit_found;
}

int run(int argc, char** argv) {
  CLI::App app("Cuts the power of a simulated disk at every operation, and looks at what is left.\n"
               "Ends with 0 if nothing is wrong, with 1 and a replay id if something is.",
               "vnvram-powercut");
  app.require_subcommand(1);
  ExploreOptions exploring;
  CLI::App* explore_app = app.add_subcommand("explore", "the built-in workloads, seed after seed");
  explore_app->add_option("--scenario", exploring.scenario, "one of them only");
  explore_app->add_option("--seed", exploring.seed, "the first seed");
  explore_app->add_option("--seconds", exploring.seconds,
                          "after each workload was run once: begin no new run after so long");
  explore_app->add_option("--replay", exploring.replay,
                          "one image again, by the id of its failure");
  explore_app->add_flag("--json", exploring.json, "the last line is JSON");
  RecordOptions recording;
  CLI::App* record_app = app.add_subcommand(
      "record",
      "run a program and record what it does to an image (writes at a position, flushes)");
  record_app->add_option("TRACE", recording.trace, "a folder, made by this")->required();
  record_app->add_option("IMAGE", recording.image, "the image that the program writes")
      ->required()
      ->check(CLI::ExistingFile);
  record_app->add_option("COMMAND", recording.command, "the program, behind --")->required();
  ReplayOptions replaying;
  CLI::App* replay_app = app.add_subcommand("replay", "cut the power at every step of a trace");
  replay_app->add_option("TRACE", replaying.trace, "what record made")
      ->required()
      ->check(CLI::ExistingDirectory);
  replay_app->add_option("--only", replaying.only, "one image again, by the id of its failure");
  replay_app->add_option("--seed", replaying.seed, "for the samples");
  replay_app->add_option("--images", replaying.images, "at most so many for each operation");
  app.footer("Examples:\n"
             "  vnvram-powercut explore --seconds 600\n"
             "  vnvram-powercut record trace vm.nvram -- vnvram put vm.nvram vars vars.fd\n"
             "  vnvram-powercut replay trace");
  CLI11_PARSE(app, argc, argv);
  if (explore_app->parsed()) {
    return explore(exploring);
  }
  return record_app->parsed() ? record(recording) : replay(replaying);
}

} // namespace
} // namespace vnvram::test

int main(int argc, char** argv) {
  try {
    return vnvram::test::run(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "vnvram-powercut: {}\n", error.what());
    return vnvram::test::exit_trouble;
  }
}
