#include "swtpm/serve.h"

#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include <fmt/core.h>

#include "device/location.h"
#include "service/idle_memory.h"
#include "service/sandbox.h"
#include "service/service_notify.h"
#include "service/termination_signals.h"
#include "swtpm/daemon.h"
#include "swtpm/identity_note.h"
#include "swtpm/process_end.h"
#include "swtpm/program_host.h"
#include "swtpm/program_setup.h"
#include "swtpm/program_sockets.h"
#include "swtpm/state_listing.h"
#include "tpm/control_server.h"
#include "tpm/tpm_parts.h"

namespace vnvram {
namespace {

/// What there is before anything is served.
struct Parts {
  UniqueFd signals;
  ProcessEnd end;
  Tpm made;
  std::unique_ptr<ImagePlace> place;
  ProgramSockets sockets;
  std::unique_ptr<TpmWorker> worker; ///< The last: it is told to stop before the others go.
};

Result<Parts> make_parts(const ProgramSetup& setup, const Log& log) {
  Result<UniqueFd> signals = take_termination_signals();
  Result<UniqueFd> wake_fd = TpmWorker::make_wake_fd();
  Result<ProcessEnd> end = ProcessEnd::make();
  for (const Status& status : {Status(signals.ok() ? Status() : signals.error()),
                               Status(wake_fd.ok() ? Status() : wake_fd.error()),
                               Status(end.ok() ? Status() : end.error())}) {
    if (!status.ok()) {
      return status.error();
    }
  }
  Result<Tpm> made = make_tpm(setup.tpm_options(), log);
  if (!made.ok()) {
    return made.error();
  }
  Result<ProgramSockets> sockets = ProgramSockets::open(setup.options());
  if (!sockets.ok()) {
    return sockets.error();
  }
  Parts parts{*std::move(signals), *std::move(end), *std::move(made), nullptr,
              *std::move(sockets), nullptr};
  parts.place = setup.make_place(*parts.made.tpm, log);
  if (parts.place) {
    parts.made.storage->use_place(*parts.place);
  }
  parts.worker =
      std::make_unique<TpmWorker>(*parts.made.tpm, *parts.made.custody, *parts.made.storage,
                                  *std::move(wake_fd), ConnectionLimits(), log);
  return parts;
}

/// The program while it serves. Threads: one.
class Program {
public:
  Program(const ProgramSetup& setup, Parts& parts, const Log& log)
      : setup_(setup), options_(setup.options()), parts_(parts), log_(log),
        host_(*parts.made.storage, *parts.worker, parts.end,
              {.keys = {.migration = setup.migration_key(), .state = setup.state_key()},
               .releases_image = options_.migration.releases_lock,
               .ends_with_client = options_.control && options_.control->terminates,
               .rejects_locality_4 = options_.locality.rejects_locality_4}),
        service_(*parts.made.tpm, *parts.made.custody, *parts.made.image, *parts.worker, log,
                 &host_),
        server_(service_, ConnectionLimits(), log) {}

  Status start(std::optional<Daemon>& daemon) {
    if (options_.terminates) {
      parts_.worker->watch_lost_clients([this] { parts_.end.ask("the end of its connection"); });
    }
    if (options_.locality.allows_set_locality) {
      parts_.worker->take_locality_commands(host_.locality_max());
    }
    Status done = daemon ? daemon->leave() : Status();
    done = done.ok() ? confine_program() : done;
    done = done.ok() ? power_on() : done; // Who has connected waits until it is on.
    done = done.ok() ? parts_.sockets.serve(server_, *parts_.worker) : done;
    done = done.ok() ? write_pid() : done;
    return done.ok() && daemon ? daemon->detach() : done;
  }

  void run() {
    give_back_memory(); // Starting took more than serving does.
    log_.info("serves the TPM of " +
              (options_.state ? options_.state->path : std::string("no place: INIT will fail")));
    const int signal = server_.run(
        parts_.signals.get(),
        ControlServer::Other{.fd = [this] { return parts_.end.fd(); },
                             .advance = [this] { return parts_.end.why() != nullptr; }});
    log_.info(fmt::format("ends, because of {}", signal == 0        ? parts_.end.why()
                                                 : signal == SIGINT ? "SIGINT"
                                                                    : "SIGTERM"));
  }

  /// What the machine's power switch would have done, and the image at rest.
  Status power_off() {
    parts_.worker->stop();
    const Tpm& made = parts_.made;
    made.tpm->stop([&] { return made.custody->may_shut_down(); });
    if (made.tpm->was_shut_down()) {
      log_.info("the TPM was sent TPM2_Shutdown, because its guest has not done so");
    }
    if (has_own_image()) {
      note_identity(*made.keeper, log_);
    }
    return made.storage->close();
  }

private:
  // And is about to leave it at rest.
  [[nodiscard]] bool has_own_image() const {
    const Tpm& made = parts_.made;
    return made.keeper && made.keeper->is_attached() && made.custody->is_ours() &&
           !made.custody->content_may_change() && !made.tpm->failed() &&
           options_.version == TpmVersion::tpm2_0;
  }

  Status confine_program() const {
    return confine(setup_.may_need_programs() ? Seccomp::off : options_.seccomp,
                   {.connections = setup_.has_owner(),
                    .sessions = setup_.has_owner(),
                    .threads = true,
                    .files = true,
                    .block_device = options_.state && may_be_block_device(options_.state->path)});
  }

  // --flags not-need-init and startup-...: as the control channel's INIT would.
  Status power_on() {
    if (options_.flags.needs_init) {
      return {};
    }
    Status on = host_.open(ControlHost::Purpose::power_on);
    if (on.ok()) {
      parts_.made.custody->power_on_begins();
      on = parts_.made.tpm->power_on(options_.flags.startup);
      parts_.made.custody->powered_on(false);
    }
    return on.ok() ? host_.settle() : on;
  }

  Status write_pid() {
    if (!options_.pid) {
      return {};
    }
    if (options_.pid->file.empty()) {
      const std::string text = fmt::format("{}\n", ::getpid());
      return ::write(*options_.pid->descriptor, text.data(), text.size()) ==
                     static_cast<ssize_t>(text.size())
                 ? Status()
                 : Error(ErrorKind::io, "the process's number cannot be written to --pid's file");
    }
    Result<PidFile> written = PidFile::write(options_.pid->file);
    if (!written.ok()) {
      return written.error();
    }
    pid_file_.emplace(*std::move(written));
    return {};
  }

  const ProgramSetup& setup_;
  const SwtpmOptions& options_;
  Parts& parts_;
  const Log& log_;
  ProgramHost host_;
  ControlService service_;
  ControlServer server_;
  std::optional<PidFile> pid_file_;
};

Status serve_all(const ProgramSetup& setup, std::optional<Daemon>& daemon, const Log& log) {
  Result<Parts> parts = make_parts(setup, log);
  if (!parts.ok()) {
    return parts.error();
  }
  Program program(setup, *parts, log);
  const Status started = program.start(daemon);
  if (started.ok()) {
    program.run();
  }
  Status ended = program.power_off();
  return started.ok() ? ended : started;
}

Status print_states(const ProgramSetup& setup) {
  const SwtpmOptions& options = setup.options();
  Result<std::string> text = list_states(*options.state, options.version, setup.image_keys());
  if (!text.ok()) {
    return text.error();
  }
  *text += "\n";
  // There is nobody to tell when this cannot be written.
  [[maybe_unused]] const auto written = ::write(STDOUT_FILENO, text->data(), text->size());
  return {};
}

} // namespace

Status serve(const SwtpmOptions& options, const SwtpmLog& log) {
  keep_memory_small();
  const Result<ProgramSetup> setup = ProgramSetup::make(options);
  if (!setup.ok()) {
    return setup.error();
  }
  if (options.action == SwtpmOptions::Action::print_states) {
    return print_states(*setup);
  }
  std::optional<Daemon> daemon;
  if (options.becomes_daemon) {
    Result<Daemon> forked = Daemon::fork();
    if (!forked.ok()) {
      return forked.error();
    }
    daemon.emplace(*std::move(forked));
  }
  return serve_all(*setup, daemon, log.lines());
}

} // namespace vnvram
