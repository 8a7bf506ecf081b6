// The long run: a real process on a real file, killed at random moments thousands of times.
#include <fstream>

#include <CLI/CLI.hpp>
#include <fmt/core.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "soak/soak_supervisor.h"

namespace {

using namespace vnvram::test;

nlohmann::ordered_json json_of(const SoakOptions& options, const SoakResult& result) {
  return {{"seconds", options.length.count()},
          {"seed", options.seed},
          {"commits", result.commits},
          {"kills", result.kills},
          {"kills_in_opening", result.kills_in_opening},
          {"kills_in_closing", result.kills_in_closing},
          {"clean_closes", result.clean_closes},
          {"reopenings", result.reopenings},
          {"unacknowledged_kept", result.unacknowledged_kept},
          {"unacknowledged_dropped", result.unacknowledged_dropped},
          {"bytes_compared", result.bytes_compared},
          {"losses", result.losses},
          {"failure", result.failure}};
}

int run_supervisor(const SoakOptions& options, const std::string& json_file) {
  const SoakResult result = SoakSupervisor(options).run();
  const nlohmann::ordered_json json = json_of(options, result);
  for (const auto& [name, value] : json.items()) {
    fmt::print("{:24}{}\n", name, value.dump());
  }
  if (!json_file.empty()) {
    std::ofstream(json_file) << json.dump(2) << "\n";
  }
  // A run that killed nothing has shown nothing.
  return result.failure.empty() && result.losses == 0 && result.kills > 0 && result.commits > 0 ? 0
                                                                                                : 1;
}

} // namespace

int main(int argc, char** argv) {
  CLI::App app("Kills a committing process at random moments; counts what was lost.");
  SoakOptions options;
  SoakClientOptions client;
  std::uint64_t seconds = 600;
  std::string json_file;
  std::vector<std::uint64_t> first_numbers;
  app.add_option("--seconds", seconds, "How long (600)");
  app.add_option("--seed", options.seed, "Of the operations and of the moments (1)");
  app.add_option("--dir", options.dir, "Where the image is made");
  app.add_option("--json", json_file, "Write the result there, too");
  app.add_option("--check-command", options.check_command, "The vnvram to check the image with");
  app.add_flag("!--no-progress", options.progress, "Print nothing before the end");
  app.add_option("--client", client.image)->group("");
  app.add_option("--first-numbers", first_numbers)->expected(soak_thread_count)->group("");
  CLI11_PARSE(app, argc, argv);
  if (!client.image.empty()) {
    client.seed = options.seed;
    std::copy(first_numbers.begin(), first_numbers.end(), client.first_numbers.begin());
    client.report_fd = STDOUT_FILENO;
    return run_soak_client(client);
  }
  options.length = std::chrono::seconds(seconds);
  return run_supervisor(options, json_file);
}
