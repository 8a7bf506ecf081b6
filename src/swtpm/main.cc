// vnvram-swtpm: in swtpm's place, a TPM whose state is in a vNVRAM image.
#include <unistd.h>

#include <cstdlib>
#include <exception>
#include <string>
#include <string_view>

#include "base/operator_text.h"
#include "device/left_behind.h"
#include "swtpm/process_identity.h"
#include "swtpm/serve.h"
#include "swtpm/swtpm_capabilities.h"
#include "swtpm/swtpm_log.h"
#include "swtpm/swtpm_options.h"
#include "swtpm/usage.h"

namespace vnvram {
namespace {

using Action = SwtpmOptions::Action;

// Swtpm has one code for everything that goes wrong, and its callers know it.
int end(const Status& status, const SwtpmLog& log) {
  if (!status.ok()) {
    log.start_error(operator_text(status.error()));
  }
  return status.ok() ? EXIT_SUCCESS : EXIT_FAILURE;
}

void print(std::string_view text) {
  // There is nobody to tell when this cannot be written.
  [[maybe_unused]] const auto written = ::write(STDOUT_FILENO, text.data(), text.size());
}

Status print_line(const Result<std::string>& text) {
  if (!text.ok()) {
    return text.error();
  }
  print(*text + "\n");
  return {};
}

Status act(const SwtpmOptions& options, const SwtpmLog& log) {
  switch (options.action) {
  case Action::print_capabilities: return print_line(swtpm_capabilities(options.version));
  case Action::print_information:
    return print_line(libtpms_information(options.version, options.information_flags));
  case Action::help: print(usage_text(options.interface)); return {};
  case Action::version: print(version_text()); return {};
  case Action::serve:
  case Action::print_states: break;
  }
  return serve(options, log);
}

int run(int argument_count, char* const* arguments) {
  const SwtpmCommandLine line = parse_swtpm_options(argument_count, arguments);
  const SwtpmOptions& options = line.options;
  const Result<SwtpmLog> terminal = SwtpmLog::open(default_log());
  if (const Status taken = take_identity(options.root, options.user); !taken.ok()) {
    return end(taken, *terminal);
  }
  const Result<SwtpmLog> log = SwtpmLog::open(options.log);
  if (!log.ok()) {
    return end(log.error(), *terminal);
  }
  return end(line.status.ok() ? act(options, *log) : line.status, *log);
}

} // namespace
} // namespace vnvram

int main(int argument_count, char** arguments) {
  try {
    return vnvram::end_program(vnvram::run(argument_count, arguments));
  } catch (const std::exception& exception) {
    // Out of memory, or a mistake of ours.
    vnvram::Log("swtpm", vnvram::LogLevel::error).error(exception.what());
    return EXIT_FAILURE;
  }
}
