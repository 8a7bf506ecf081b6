#include "cli/restart_command.h"

#include <chrono>
#include <thread>

#include "cli/owner_socket.h"

namespace vnvram::cli {
namespace {

constexpr std::chrono::seconds wait_max{60};
constexpr std::chrono::milliseconds pause{10};

} // namespace

RestartCommand::RestartCommand(CLI::App& parent)
    : Command(
          parent, "restart", "exchange the owner of an image under a machine that runs",
          "The owner of a `vnvram serve` with --tpm or --nbd closes the image and ends, and the\n"
          "program that is installed now takes its place: after an upgrade, say. The machine's\n"
          "devices wait for that; nothing is lost. SIGHUP to `vnvram serve` does the same.\n\n"
          "With --all the devices' programs are exchanged as well, after the owner. A TPM goes on\n"
          "in a new vnvram-tpm, with its PCRs, sessions and loaded keys, or in the old one if the\n"
          "new one fails. nbdkit ends in good order and is started again: QEMU connects to it "
          "anew\n"
          "if its blockdev has a reconnect-delay, and has no flash any more if not. `vnvram "
          "serve`\n"
          "itself stays what it is until the machine is started anew.\n\n"
          "Example:\n"
          "  vnvram restart --all unix:/run/vm1/owner.sock") {
  add_control();
  app().add_flag("--all", all_, "the TPM's and the NBD exports' programs, too");
}

Result<ExitCode> RestartCommand::run(Output& /*output*/) {
  const auto owner = connect_owner(image());
  if (!owner) {
    return owner.error();
  }
  const Result<OwnerStatus> before = (*owner)->status();
  if (!before) {
    return before.error();
  }
  if (Status restarts = (*owner)->restart(); !restarts) {
    return restarts.error();
  }
  const Status came = wait_for_another(before->pid);
  if (!came) {
    return came.error();
  }
  return all_ ? renew_front_ends() : ExitCode::ok;
}

Result<ExitCode> RestartCommand::renew_front_ends() const {
  const auto owner = connect_owner(image());
  if (!owner) {
    return owner.error();
  }
  const Status renewed = (*owner)->renew_front_ends();
  return renewed ? Result<ExitCode>(ExitCode::ok) : renewed.error();
}

// The socket stays, and so whoever connects is answered by one of the two, or by nobody if the
// first has taken the connection and goes.
Status RestartCommand::wait_for_another(pid_t pid) const {
  const auto until = std::chrono::steady_clock::now() + wait_max;
  for (;;) {
    const auto owner = connect_owner(image());
    if (!owner && owner.error().kind() == ErrorKind::absent) {
      return Error(ErrorKind::io, image() + ": the owner has ended, and so has its `vnvram serve`",
                   "its log says why the next one did not come");
    }
    const Result<OwnerStatus> status = owner ? (*owner)->status() : owner.error();
    if (status && status->pid != pid) {
      return {};
    }
    if (std::chrono::steady_clock::now() >= until) {
      return Error(ErrorKind::io, image() + ": no other owner has come within 60 s",
                   "the log of vnvram serve says why");
    }
    std::this_thread::sleep_for(pause);
  }
}

} // namespace vnvram::cli
