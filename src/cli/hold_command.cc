#include "cli/hold_command.h"

#include <chrono>

#include "cli/owner_socket.h"

namespace vnvram::cli {
namespace {

constexpr double hold_min_seconds = 0.001;
constexpr double hold_max_seconds = 3600;

} // namespace

HoldCommand::HoldCommand(CLI::App& parent)
    : Command(
          parent, "hold", "let changes of all devices wait, for a snapshot of the image",
          "CONTROL is what `vnvram serve` has behind --control. When it ends with 0, everything\n"
          "that was answered is durable, nothing is on its way to the image, and no change of\n"
          "any device begins before `vnvram release`, or until the time is over: then changes\n"
          "go on by themselves. Reading goes on.\n\n"
          "Example:\n"
          "  vnvram hold unix:/run/vm1/owner.sock --seconds 30 &&\n"
          "    cp --reflink=auto vm.nvram snapshot.nvram &&\n"
          "    vnvram release unix:/run/vm1/owner.sock") {
  add_control();
  app()
      .add_option("--seconds", seconds_, "for how long at most, 0.001 to 3600")
      ->required()
      ->check([](const std::string& text) {
        double seconds = 0;
        const bool in_range = CLI::detail::lexical_cast(text, seconds) &&
                              seconds >= hold_min_seconds && seconds <= hold_max_seconds;
        return in_range ? std::string() : "not 0.001 to 3600 seconds: " + text;
      });
}

Result<ExitCode> HoldCommand::run(Output& /*output*/) {
  const auto owner = connect_owner(image());
  if (!owner) {
    return owner.error();
  }
  const auto duration =
      std::chrono::ceil<std::chrono::milliseconds>(std::chrono::duration<double>(seconds_));
  if (Status held = (*owner)->hold(duration); !held) {
    return held.error();
  }
  return ExitCode::ok;
}

ReleaseCommand::ReleaseCommand(CLI::App& parent)
    : Command(
          parent, "release", "let changes go on that `vnvram hold` lets wait",
          "Ends with 23 if nothing is held: the hold was refused, or has run out, and what was\n"
          "copied meanwhile may not be of one moment.\n\n"
          "Example:\n"
          "  vnvram release unix:/run/vm1/owner.sock") {
  add_control();
}

Result<ExitCode> ReleaseCommand::run(Output& /*output*/) {
  const auto owner = connect_owner(image());
  if (!owner) {
    return owner.error();
  }
  const Result<bool> held = (*owner)->release();
  if (!held) {
    return held.error();
  }
  if (!*held) {
    return Error(ErrorKind::stale,
                 image() + ": no changes are held: the hold was refused, or has ended before",
                 "what was copied meanwhile may not be of one moment: hold them again, for longer, "
                 "and copy it again");
  }
  return ExitCode::ok;
}

} // namespace vnvram::cli
