#include "cli/metrics_command.h"

#include <span>
#include <string>

#include "cli/output_file.h"
#include "cli/owner_socket.h"

namespace vnvram::cli {
namespace {

// Who collects the file is another user.
constexpr mode_t new_file_mode = 0644;

} // namespace

MetricsCommand::MetricsCommand(CLI::App& parent)
    : Command(parent, "metrics", "print how the owner of an image stands, for Prometheus",
              "CONTROL is what `vnvram serve` has behind --control. The text is Prometheus's\n"
              "exposition format. FILE is complete before it appears under its name, so it may be\n"
              "in the folder of node_exporter's textfile collector; a new one can be read by all.\n"
              "`vnvram serve --metrics` has Prometheus ask by HTTP instead.\n\n"
              "Examples:\n"
              "  vnvram metrics unix:/run/vm1/owner.sock\n"
              "  vnvram metrics unix:/run/vm1/owner.sock \\\n"
              "    --output /var/lib/prometheus/node-exporter/vm1.prom") {
  add_control();
  app()
      .add_option("-o,--output", output_file_, "write to this file; \"-\" for standard output")
      ->type_name("FILE");
}

Result<ExitCode> MetricsCommand::run(Output& output) {
  const auto owner = connect_owner(image());
  if (!owner) {
    return owner.error();
  }
  const Result<std::string> text = (*owner)->metrics();
  if (!text) {
    return text.error();
  }
  if (output_file_.empty() || output_file_ == "-") {
    output.write_text(*text);
    return ExitCode::ok;
  }
  if (Status written =
          write_output_file(output_file_, std::as_bytes(std::span(*text)), new_file_mode);
      !written) {
    return written.error();
  }
  return ExitCode::ok;
}

} // namespace vnvram::cli
