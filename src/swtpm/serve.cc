#include "swtpm/serve.h"

#include <malloc.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <memory>
#include <optional>
#include <utility>

#include <fmt/core.h>

#include "base/operator_text.h"
#include "convert/swtpm_key_option.h"
#include "device/location.h"
#include "rpc/owner_address.h"
#include "service/sandbox.h"
#include "service/service_notify.h"
#include "service/termination_signals.h"
#include "swtpm/daemon.h"
#include "swtpm/file_place.h"
#include "swtpm/folder_place.h"
#include "swtpm/location_place.h"
#include "swtpm/process_end.h"
#include "swtpm/program_host.h"
#include "swtpm/program_sockets.h"
#include "tpm/control_server.h"
#include "tpm/tpm_parts.h"

namespace vnvram {
namespace {

namespace fs = std::filesystem;

/// What is read and opened before there is anything to serve.
struct Prepared {
  SwtpmOptions options; ///< With paths that stay right wherever the process stands.
  std::shared_ptr<const SwtpmKey> state_key;
};

std::string absolute(const std::string& path) {
  std::error_code failed;
  const fs::path made = fs::absolute(path, failed);
  return failed ? path : made.string();
}

Result<std::shared_ptr<const SwtpmKey>> read_key(const std::optional<std::string>& text) {
  if (!text) {
    return std::shared_ptr<const SwtpmKey>();
  }
  const Result<SwtpmKeyOption> option = SwtpmKeyOption::parse(*text);
  if (!option.ok()) {
    return option.error();
  }
  Result<SwtpmKey> key = option->read();
  return key.ok() ? Result<std::shared_ptr<const SwtpmKey>>(
                        std::make_shared<const SwtpmKey>(*std::move(key)))
                  : key.error();
}

Result<Prepared> prepare(const SwtpmOptions& given) {
  Result<std::shared_ptr<const SwtpmKey>> key = read_key(given.key);
  if (!key.ok()) {
    return key.error();
  }
  Prepared prepared{given, *std::move(key)};
  if (auto& state = prepared.options.state;
      state && state->kind != TpmStateOption::Kind::location) {
    state->path = absolute(state->path);
  }
  return prepared;
}

Result<std::optional<KeySource>> image_key(const Prepared& prepared) {
  if (!prepared.state_key) {
    return std::optional<KeySource>();
  }
  Result<KeySource> source = KeySource::of_key(prepared.state_key->bytes(), "the key of --key");
  return source.ok() ? Result<std::optional<KeySource>>(std::optional(*std::move(source)))
                     : source.error();
}

bool is_owners(const SwtpmOptions& options) {
  return options.state && options.state->kind == TpmStateOption::Kind::location &&
         scheme_of(options.state->path) == LocationScheme::owner;
}

/// What vnvram-tpm is started with for the same.
Result<Options> tpm_options(const Prepared& prepared) {
  const SwtpmOptions& given = prepared.options;
  Options options;
  options.image = given.state ? given.state->path : std::string();
  options.version = given.version;
  options.detached = !is_owners(given);
  options.on_demand = options.detached;
  options.seals = false; // Managers do not say when a machine comes back.
  options.shuts_down = given.flags.shuts_down;
  options.seccomp = Seccomp::off; // Files may be opened later: see confine_program().
  const Result<std::optional<KeySource>> key = image_key(prepared);
  if (!key.ok()) {
    return key.error();
  }
  if (*key) {
    options.keys.add(**key);
  }
  return options;
}

Result<std::unique_ptr<ImagePlace>> make_place(const Prepared& prepared, SoftTpm& tpm,
                                               const Log& log) {
  Result<std::optional<KeySource>> key = image_key(prepared);
  if (!key.ok()) {
    return key.error();
  }
  PlaceSetup setup{
      .recipe = TpmImageRecipe(prepared.options.version, *std::move(key)),
      .key = prepared.state_key,
      .check_states = [&tpm](const TpmStates& states) { return tpm.check_states(states); },
      .log = log};
  const TpmStateOption& state = *prepared.options.state;
  switch (state.kind) {
  case TpmStateOption::Kind::folder:
    return std::unique_ptr<ImagePlace>(
        std::make_unique<FolderPlace>(state.path, state.mode, std::move(setup)));
  case TpmStateOption::Kind::file:
    return std::unique_ptr<ImagePlace>(
        std::make_unique<FilePlace>(state.path, state.mode, std::move(setup)));
  case TpmStateOption::Kind::location: break;
  }
  return std::unique_ptr<ImagePlace>(std::make_unique<LocationPlace>(state.path));
}

// A location may need programs to be started, at any time.
Status confine_program(const SwtpmOptions& options) {
  const bool is_location = options.state && options.state->kind == TpmStateOption::Kind::location;
  return confine(is_location && !is_owners(options) ? Seccomp::off : options.seccomp,
                 {.connections = is_owners(options),
                  .sessions = is_owners(options),
                  .threads = true,
                  .files = true});
}

// --flags not-need-init, startup-...: as the control channel's INIT would.
Status power_on_at_once(const SwtpmOptions& options, const Tpm& made, ProgramHost& host) {
  if (options.flags.needs_init) {
    return {};
  }
  Status on = host.open();
  if (on.ok()) {
    made.custody->power_on_begins();
    on = made.tpm->power_on(options.flags.startup);
    made.custody->powered_on(false);
  }
  return on.ok() ? host.settle() : on;
}

Status power_off(const Tpm& made, const Log& log) {
  made.tpm->stop([&] { return made.custody->may_shut_down(); });
  if (made.tpm->was_shut_down()) {
    log.info("the TPM was sent TPM2_Shutdown, because its guest has not done so");
  }
  return made.storage->close();
}

Status serve_prepared(const Prepared& prepared, std::optional<Daemon>& daemon, const Log& log) {
  const SwtpmOptions& options = prepared.options;
  const Result<UniqueFd> signals = take_termination_signals();
  Result<UniqueFd> wake_fd = TpmWorker::make_wake_fd();
  Result<ProcessEnd> process_end = ProcessEnd::make();
  if (!signals.ok() || !wake_fd.ok() || !process_end.ok()) {
    return !signals.ok() ? signals.error() : !wake_fd.ok() ? wake_fd.error() : process_end.error();
  }
  const Result<Options> tpm_setup = tpm_options(prepared);
  Result<Tpm> made = tpm_setup.ok() ? make_tpm(*tpm_setup, log) : tpm_setup.error();
  if (!made.ok()) {
    return made.error();
  }
  std::unique_ptr<ImagePlace> place;
  if (options.state && !is_owners(options)) {
    Result<std::unique_ptr<ImagePlace>> chosen = make_place(prepared, *made->tpm, log);
    if (!chosen.ok()) {
      return chosen.error();
    }
    place = *std::move(chosen);
    made->storage->use_place(*place);
  }
  Result<ProgramSockets> sockets = ProgramSockets::open(options);
  if (!sockets.ok()) {
    return sockets.error();
  }
  TpmWorker worker(*made->tpm, *made->custody, *made->storage, *std::move(wake_fd),
                   ConnectionLimits(), log);
  ProgramHost host(*made->storage, worker, *process_end,
                   {.releases_image = options.migration.releases_lock,
                    .ends_with_client = options.control && options.control->terminates});
  ControlService service(*made->tpm, *made->custody, *made->image, worker, log, &host);
  ControlServer server(service, ConnectionLimits(), log);
  if (options.terminates) {
    worker.watch_lost_clients([&] { process_end->ask("the TPM's client is gone"); });
  }
  Status ready = sockets->serve(server, worker);
  ready = ready.ok() ? confine_program(options) : ready;
  ready = ready.ok() ? power_on_at_once(options, *made, host) : ready;
  std::optional<PidFile> pid_file;
  if (ready.ok() && options.pid && !options.pid->file.empty()) {
    Result<PidFile> written = PidFile::write(absolute(options.pid->file));
    ready = written.ok() ? Status() : written.error();
    if (written.ok()) {
      pid_file.emplace(*std::move(written));
    }
  }
  ready = ready.ok() && daemon ? daemon->detach() : ready;
  if (!ready.ok()) {
    worker.stop();
    [[maybe_unused]] const Status closed = power_off(*made, log);
    return ready;
  }
  ::malloc_trim(0);
  log.info("serves the TPM of " + (options.state ? options.state->path : "no place at all"));
  const int signal =
      server.run(signals->get(),
                 ControlServer::Other{.fd = [&] { return process_end->fd(); },
                                      .advance = [&] { return process_end->why() != nullptr; }});
  log.info(fmt::format("ends, because of {}", signal == 0        ? process_end->why()
                                              : signal == SIGINT ? "SIGINT"
                                                                 : "SIGTERM"));
  worker.stop();
  return power_off(*made, log);
}

} // namespace

Status serve(const SwtpmOptions& options, const SwtpmLog& log) {
  const Result<Prepared> prepared = prepare(options);
  if (!prepared.ok()) {
    return prepared.error();
  }
  std::optional<Daemon> daemon;
  if (options.becomes_daemon) {
    Result<Daemon> forked = Daemon::fork();
    if (!forked.ok()) {
      return forked.error();
    }
    daemon.emplace(*std::move(forked));
  }
  return serve_prepared(*prepared, daemon, log.lines());
}

} // namespace vnvram
