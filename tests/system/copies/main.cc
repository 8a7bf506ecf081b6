// Copies an image at random moments while a process commits to it, and compares every byte of each
// copy with what that process had written by then.
#include <exception>
#include <map>
#include <string>

#include <CLI/CLI.hpp>
#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "copies/copy_run.h"

int main(int argc, char** argv) {
  using vnvram::test::CopyMode;
  CLI::App app("Copies a live image at random moments and looks at every copy.");
  vnvram::test::CopyOptions options;
  const std::map<std::string, CopyMode> modes = {
      {"reflink", CopyMode::reflink}, {"stopped", CopyMode::stopped}, {"slow", CopyMode::slow}};
  app.add_option("--dir", options.dir, "Where the image and its copies are made");
  app.add_option("--mode", options.mode, "How it is copied: reflink, stopped or slow")
      ->transform(CLI::CheckedTransformer(modes));
  app.add_option("--count", options.count, "How many copies (100)");
  app.add_option("--seed", options.seed, "Of the moments (1)");
  CLI11_PARSE(app, argc, argv);
  try {
    const auto result = vnvram::test::CopyRun(options).run();
    const nlohmann::ordered_json json = {
        {"copies", result.copies},   {"exact", result.exact},       {"refused", result.refused},
        {"commits", result.commits}, {"overlaps", result.overlaps}, {"failure", result.failure}};
    fmt::print("{}\n", json.dump());
    return result.failure.empty() && result.copies == options.count ? 0 : 1;
  } catch (const std::exception& exception) {
    fmt::print(stderr, "vnvram-copies: {}\n", exception.what());
    return 2;
  }
}
