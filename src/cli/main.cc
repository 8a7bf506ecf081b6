// The command `vnvram`: what an operator does with an image.
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <fmt/core.h>
#include <memory>
#include <unistd.h>
#include <vector>

#include "base/operator_text.h"
#include "base/plain_text.h"
#include "cli/anchor_command.h"
#include "cli/can_run_command.h"
#include "cli/check_command.h"
#include "cli/copy_command.h"
#include "cli/create_command.h"
#include "cli/dump_command.h"
#include "cli/encrypt_command.h"
#include "cli/erase_command.h"
#include "cli/export_command.h"
#include "cli/export_swtpm_command.h"
#include "cli/get_command.h"
#include "cli/hand_over_command.h"
#include "cli/hold_command.h"
#include "cli/import_command.h"
#include "cli/import_swtpm_command.h"
#include "cli/info_command.h"
#include "cli/key_command.h"
#include "cli/lost_file.h"
#include "cli/ls_command.h"
#include "cli/meta_command.h"
#include "cli/metrics_command.h"
#include "cli/move_command.h"
#include "cli/put_command.h"
#include "cli/register_command.h"
#include "cli/repair_command.h"
#include "cli/resize_command.h"
#include "cli/restart_command.h"
#include "cli/rm_command.h"
#include "cli/salvage_command.h"
#include "cli/seal_command.h"
#include "cli/serve_command.h"
#include "cli/size_command.h"
#include "cli/status_command.h"
#include "cli/takeover_command.h"
#include "cli/tpm_command.h"
#include "cli/unseal_command.h"
#include "cli/watch_command.h"
#include "device/left_behind.h"
#include "device/location.h"
#include "vnvram/version.h"

namespace vnvram::cli {
namespace {

constexpr const char* footer = R"(Exit codes:
   0 done                     20 no room in the image for what is to be registered
   1 any other failure        21 a device or file could not be read or written
   2 wrong usage              22 an earlier write failed; open the image again
  10 there is no such image   23 overtaken by its owner again and again; try again
  11 it is blank              24 the image cannot be written to
  12 it is not ours           25 no such blob
  13 it is damaged            26 something is there already
  14 it is in use             27 the blob has another type
  15 it needs a key           28 too large for the blob or for a transaction
  16 the key does not fit     29 the device or the system cannot do this
  17 it needs a newer version 30 it is sealed: another machine has its state
                              31 it is not at its anchor: older, or gone on elsewhere

A TPM for a virtual machine in three steps:
  vnvram create vm.nvram --tpm2
  vnvram-tpm vm.nvram --ctrl unix:/run/vm-tpm.sock &
  qemu-system-x86_64 -chardev socket,id=tpm,path=/run/vm-tpm.sock \
    -tpmdev emulator,id=tpm0,chardev=tpm -device tpm-crb,tpmdev=tpm0 ...

`vnvram COMMAND --help` tells more about each command; so does vnvram(1).)";

void say(std::string_view line) {
  std::fputs(fmt::format("vnvram: {}\n", plain_text(line)).c_str(), stderr);
}

/// Where an image should be and is not, somebody may have it still; then making one is no remedy.
Error with_lost_file(const std::string& image, const Error& error) {
  const auto lost =
      !image.empty() && error.kind() == ErrorKind::absent ? find_lost_file(image) : std::nullopt;
  return lost ? Error(error.kind(), error.cause(), lost->text()) : error;
}

bool begins_with(const std::string& text, const std::string& place) {
  return !place.empty() &&
         (text.starts_with(place + ":") || text.starts_with(location_name(place) + ":"));
}

int report_error(const Error& error, const Command* command = nullptr) {
  const std::string image = command == nullptr ? "" : command->image();
  const std::string text = operator_text(with_lost_file(image, error));
  const bool names_place =
      image.empty() || begins_with(text, image) || begins_with(text, command->made_place());
  say(names_place ? text : fmt::format("{}: {}", location_name(image), text));
  return static_cast<int>(exit_code(error.kind()));
}

template <typename... Each> std::vector<std::unique_ptr<Command>> make_commands(CLI::App& app) {
  std::vector<std::unique_ptr<Command>> commands;
  (commands.push_back(std::make_unique<Each>(app)), ...);
  return commands;
}

/// A result that could not be delivered is a failure, whatever the command thinks of it.
int finish(Output& output, const Result<ExitCode>& result, const Command* command = nullptr) {
  const Status delivered = output.finish();
  if (!result) {
    return report_error(result.error(), command);
  }
  return delivered ? static_cast<int>(*result) : report_error(delivered.error());
}

bool blob_is_asked_for(const std::vector<std::unique_ptr<Command>>& commands) {
  return std::any_of(commands.begin(), commands.end(), [](const auto& command) {
    return command->chosen() && command->may_mean_blob();
  });
}

Error help_for_a_blob() {
  return {ErrorKind::invalid_argument, "help was asked for after IMAGE",
          "a blob of such a name is written after --; help is vnvram COMMAND --help"};
}

int run(int argument_count, const char* const* arguments) {
  CLI::App app("Keeps all NVRAM of a virtual machine in one crash-consistent image.", "vnvram");
  app.set_version_flag("--version", "vnvram " + std::string(version()));
  app.set_help_all_flag("--help-all", "help on every command");
  app.require_subcommand(1);
  app.footer(footer);
  const auto commands =
      make_commands<CreateCommand, SizeCommand, RegisterCommand, LsCommand, InfoCommand, GetCommand,
                    PutCommand, RmCommand, CheckCommand, RepairCommand, SalvageCommand, DumpCommand,
                    ResizeCommand, SealCommand, UnsealCommand, TpmCommand, ServeCommand,
                    StatusCommand, HoldCommand, ReleaseCommand, HandOverCommand, GoOnCommand,
                    RestartCommand, ExportCommand, ImportCommand, ImportSwtpmCommand,
                    ExportSwtpmCommand, MetricsCommand, WatchCommand, AnchorCommand, KeyCommand,
                    MetaCommand, EraseCommand, EncryptCommand, DecryptCommand, CopyCommand,
                    MoveCommand, CanRunCommand, TakeoverCommand>(app);
  Output output(STDOUT_FILENO);
  try {
    app.parse(argument_count, arguments);
  } catch (const CLI::CallForAllHelp&) {
    if (blob_is_asked_for(commands)) {
      return report_error(help_for_a_blob());
    }
    output.write_text(app.help("", CLI::AppFormatMode::All));
    return finish(output, ExitCode::ok);
  } catch (const CLI::CallForHelp&) {
    if (blob_is_asked_for(commands)) {
      return report_error(help_for_a_blob());
    }
    output.write_text(app.help());
    return finish(output, ExitCode::ok);
  } catch (const CLI::CallForVersion& version_text) {
    output.write_text(std::string(version_text.what()) + '\n');
    return finish(output, ExitCode::ok);
  } catch (const CLI::ParseError& error) {
    const char* const hint =
        blob_is_asked_for(commands) ? "; a name that begins with - is written after --" : "";
    say(fmt::format("{} (see vnvram --help{})", error.what(), hint));
    return static_cast<int>(ExitCode::usage);
  }
  for (const auto& command : commands) {
    if (command->chosen()) {
      return finish(output, command->run(output), command.get());
    }
  }
  return static_cast<int>(ExitCode::usage);
}

} // namespace
} // namespace vnvram::cli

int main(int argument_count, char** arguments) {
  // A reader that goes away shows as a failed write, which is reported.
  std::signal(SIGPIPE, SIG_IGN);
  try {
    return vnvram::end_program(vnvram::cli::run(argument_count, arguments));
  } catch (const std::exception& exception) {
    vnvram::cli::say(exception.what());
    return static_cast<int>(vnvram::ExitCode::failure);
  }
}
