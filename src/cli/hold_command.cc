#include "cli/hold_command.h"

#include <chrono>

#include "cli/owner_socket.h"

namespace vnvram::cli {
namespace {

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
          "    cp --reflink vm.nvram snapshot.nvram\n"
          "  vnvram release unix:/run/vm1/owner.sock") {
  add_control();
  app()
      .add_option("--seconds", seconds_, "for how long at most, 0.001 to 3600")
      ->required()
      ->check(CLI::Range(0.001, hold_max_seconds));
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
    : Command(parent, "release", "let changes go on that `vnvram hold` lets wait",
              "Harmless when nothing is held.\n\n"
              "Example:\n"
              "  vnvram release unix:/run/vm1/owner.sock") {
  add_control();
}

Result<ExitCode> ReleaseCommand::run(Output& /*output*/) {
  const auto owner = connect_owner(image());
  if (!owner) {
    return owner.error();
  }
  if (Status released = (*owner)->release(); !released) {
    return released.error();
  }
  return ExitCode::ok;
}

} // namespace vnvram::cli
