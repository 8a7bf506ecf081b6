// vnvram-tpm: a TPM whose state is in a vNVRAM image.

#include <csignal>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "base/operator_text.h"
#include "base/unique_fd.h"
#include "device/left_behind.h"
#include "device/location.h"
#include "device/reservation_look.h"
#include "owner/image_keeper.h"
#include "rpc/owner_address.h"
#include "service/idle_memory.h"
#include "service/listener.h"
#include "service/log.h"
#include "service/name_remover.h"
#include "service/sandbox.h"
#include "service/service_notify.h"
#include "service/termination_signals.h"
#include "tpm/admin_server.h"
#include "tpm/control_server.h"
#include "tpm/control_service.h"
#include "tpm/location_place.h"
#include "tpm/options.h"
#include "tpm/owner_place.h"
#include "tpm/predecessor.h"
#include "tpm/shared_image_host.h"
#include "tpm/successor.h"
#include "tpm/tpm_parts.h"
#include "tpm/tpm_worker.h"

namespace vnvram {
namespace {

// The sockets, in the order in which they are opened.
struct Sockets {
  std::optional<Listener> control;
  std::optional<Listener> server;
  std::optional<Listener> server_control;
  std::optional<Listener> admin;
};

Status open_socket(std::optional<Listener>& listener, const std::optional<SocketAddress>& address,
                   const SocketAccess& access) {
  if (!address) {
    return {};
  }
  Result<Listener> opened = Listener::open(*address, access);
  if (!opened.ok()) {
    return opened.error();
  }
  listener.emplace(std::move(*opened));
  return {};
}

Status open_sockets(Sockets& sockets, const Options& options) {
  Status status = open_socket(sockets.control, options.control, options.socket_access);
  if (status.ok()) {
    status = open_socket(sockets.server, options.server, options.socket_access);
  }
  if (status.ok()) {
    status = open_socket(sockets.server_control, options.server_control, options.socket_access);
  }
  if (status.ok()) {
    // Whoever runs the machine is not who runs the host.
    status = open_socket(sockets.admin, options.admin, {.mode = 0600, .group = std::nullopt});
  }
  return status;
}

// Everything that is in the file system for as long as we serve.
std::vector<std::string> names_of(const Options& options) {
  std::vector<std::string> names;
  for (const auto* address :
       {&options.control, &options.server, &options.server_control, &options.admin}) {
    if (*address && (*address)->kind == SocketAddress::Kind::unix_path) {
      names.push_back((*address)->path);
    }
  }
  if (!options.pid_file.empty()) {
    names.push_back(options.pid_file);
  }
  return names;
}

// From now on the names are the remover's business.
Status hand_over_names(NameRemover& remover, Sockets& sockets, std::optional<PidFile>& pid_file) {
  if (Status remembered = remover.remember(); !remembered.ok()) {
    return remembered;
  }
  for (auto* listener :
       {&sockets.control, &sockets.server, &sockets.server_control, &sockets.admin}) {
    if (*listener) {
      (*listener)->leave_name();
    }
  }
  if (pid_file) {
    pid_file->leave_name();
  }
  return {};
}

bool opens_later(const Options& options) {
  return options.shared && scheme_of(options.image) != LocationScheme::owner;
}

// Before other threads are there: a right that is kept is this thread's, and of those that it
// starts.
Status become_user(const Options& options) {
  const bool reserves_later = opens_later(options) && options.reservation;
  if (!options.user.empty()) {
    const KeptRights kept = reserves_later ? KeptRights::to_reserve : KeptRights::none;
    if (Status status = become_user(options.user, kept); !status.ok()) {
      return status;
    }
  }
  // What is missing for the switch is to be said before it.
  return reserves_later ? check_reservable(options.image) : Status();
}

Status prepare_to_serve(const Tpm& made, const Options& options, const Log& log) {
  if (options.shared && made.keeper != nullptr) {
    if (const Status goes = made.keeper->check_let_go(); !goes.ok()) {
      log.warning(operator_text(goes.error()));
    }
  }
  if (options.admin || options.shared) {
    ImageKeeper::load_libraries(); // A drive that needs them and is there has them.
  }
  return become_user(options);
}

Status give_up_privileges(const Options& options) {
  if (options.seccomp == Seccomp::on) {
    KeyRing(options.keys).run_no_more_commands(); // For an image that comes later.
  }
  const bool has_owner = scheme_of(options.image) == LocationScheme::owner;
  const bool opens_files = opens_later(options);
  return confine(options.seccomp, {.connections = options.admin.has_value() || opens_files ||
                                                  (has_owner && !is_passed_on(options.image)),
                                   .sessions = has_owner,
                                   .threads = opens_files,
                                   .growth = options.grow_max_bytes != 0,
                                   .client_library = has_own_threads(options.image),
                                   .files = opens_files,
                                   .block_device = may_be_block_device(options.image)});
}

enum class End { by_signal, by_successor };

// Until it ends, one way or the other. An error: there was no TPM to be taken.
Result<End> serve(const Sockets& sockets, const Tpm& made, TpmWorker& worker,
                  const Options& options, int signal_fd, const std::function<void()>& begins,
                  const Log& log) {
  std::optional<SharedImageHost> host;
  if (options.shared) {
    host.emplace(*made.storage, worker);
  }
  ControlService service(*made.tpm, *made.custody, *made.image, worker, log,
                         host ? &*host : nullptr);
  ControlServer server(service, ConnectionLimits(), log);
  if (sockets.control) {
    server.add_listener(*sockets.control, CommandSource::vm);
  }
  if (sockets.server_control) {
    server.add_listener(*sockets.server_control, CommandSource::server);
  }
  if (options.predecessor >= 0) {
    Successor successor(UniqueFd(options.predecessor),
                        {*made.tpm, *made.custody, *made.image, *made.client, service, server,
                         worker, log, options.blobs_prefix});
    if (Status taken = successor.take(); !taken.ok()) {
      return taken.error();
    }
  }
  begins();
  worker.serve(sockets.server ? &*sockets.server : nullptr);
  std::optional<ControlServer::Other> other;
  std::optional<Predecessor> predecessor;
  if (options.successors >= 0) {
    predecessor.emplace(options.successors,
                        Predecessor::Parts{*made.tpm, *made.custody, *made.image, *made.storage,
                                           *made.client, service, server, worker, log,
                                           options.blobs_prefix});
    other = {.fd = [&] { return predecessor->fd(); },
             .advance = [&] { return predecessor->advance(); }};
  }
  const int signal = server.run(signal_fd, other);
  if (signal == 0) {
    log.info("ends, because another process goes on with the TPM");
    return End::by_successor;
  }
  log.info(signal == SIGINT ? "ends, because of SIGINT" : "ends, because of SIGTERM");
  return End::by_signal;
}

// The end: what the machine's power switch would have done, and the image at rest.
Status power_off(const Tpm& made, bool held, const Log& log) {
  made.tpm->stop([&] { return !held && made.custody->may_shut_down(); });
  if (made.tpm->was_shut_down()) {
    log.info("the TPM was sent TPM2_Shutdown, because its guest has not done so");
  }
  return made.storage->close();
}

// Of an image that another host sees as well.
std::unique_ptr<ImagePlace> place_of(const Tpm& made, const Options& options) {
  if (made.keeper == nullptr) {
    return std::make_unique<OwnerPlace>(options.name());
  }
  return std::make_unique<LocationPlace>(options.image);
}

std::string opening_words(const Tpm& made, const Options& options) {
  const bool is_tpm2 = made.tpm->version() == TpmVersion::tpm2_0;
  const TpmStorageStatus status = made.storage->status();
  const std::string blobs = options.blobs_prefix.empty() ? "" : " (" + options.blobs_prefix + ")";
  return fmt::format("serves the TPM {} of {}{}, {}", is_tpm2 ? "2.0" : "1.2", status.location,
                     blobs,
                     status.attached ? fmt::format("generation {}", status.image.generation)
                                     : "which is not attached yet");
}

Result<std::optional<PidFile>> write_pid_file(const Options& options) {
  if (options.pid_file.empty()) {
    return std::optional<PidFile>();
  }
  Result<PidFile> written = PidFile::write(options.pid_file);
  return written.ok() ? Result<std::optional<PidFile>>(std::move(*written)) : written.error();
}

Status run(const Options& options, const Log& log) {
  keep_memory_small();
  const Result<UniqueFd> signals = take_termination_signals();
  if (!signals.ok()) {
    return signals.error();
  }
  Result<UniqueFd> wake_fd = TpmWorker::make_wake_fd();
  if (!wake_fd.ok()) {
    return wake_fd.error();
  }
  Result<std::unique_ptr<NameRemover>> started =
      NameRemover::start(names_of(options), options.seccomp != Seccomp::off);
  if (!started.ok()) {
    return started.error();
  }
  const ServiceNotify notify;
  if (!notify.trouble().empty()) {
    log.warning("the service manager will hear nothing: " + notify.trouble());
  }
  Result<Tpm> made = make_tpm(options, log);
  if (!made.ok()) {
    return made.error();
  }
  const std::unique_ptr<ImagePlace> place = place_of(*made, options);
  if (options.shared) {
    made->storage->use_place(*place);
  }
  Sockets sockets;
  if (Status opened = open_sockets(sockets, options); !opened.ok()) {
    return opened;
  }
  Result<std::optional<PidFile>> pid_file = write_pid_file(options);
  if (!pid_file.ok()) {
    return pid_file.error();
  }
  const std::unique_ptr<NameRemover> remover = *std::move(started); // Ends before the sockets do.
  if (Status handed_over = hand_over_names(*remover, sockets, *pid_file); !handed_over.ok()) {
    return handed_over;
  }
  if (Status prepared = prepare_to_serve(*made, options, log); !prepared.ok()) {
    return prepared;
  }
  TpmWorker worker(*made->tpm, *made->custody, *made->storage, *std::move(wake_fd),
                   ConnectionLimits(), log);
  std::optional<AdminServer> admin;
  if (sockets.admin) {
    admin.emplace(*sockets.admin, *made->tpm, *made->storage, worker, ConnectionLimits(), log);
  }
  if (Status confined = give_up_privileges(options); !confined.ok()) {
    return confined;
  }
  give_back_memory(); // Starting took far more than serving does.
  const Result<End> end = serve(
      sockets, *made, worker, options, signals->get(),
      [&] {
        log.info(opening_words(*made, options));
        notify.send("READY=1\nSTATUS=Serving");
      },
      log);
  if (!end.ok() || *end == End::by_successor) {
    return end.ok() ? Status() : end.error();
  }
  notify.send("STOPPING=1\nSTATUS=Closing the image");
  admin.reset();
  worker.stop();
  Status closed = power_off(*made, worker.is_held(), log);
  if (closed.ok() && made->tpm->failed()) {
    return Error(ErrorKind::poisoned, options.name() + ": ended in failure mode");
  }
  return closed;
}

int start(int argument_count, char** arguments) {
  auto parsed = parse_options(argument_count, arguments);
  if (const auto* code = std::get_if<ExitCode>(&parsed)) {
    return static_cast<int>(*code);
  }
  const auto& options = std::get<Options>(parsed);
  const Log log("vnvram-tpm", options.log_level);
  const Status status = run(options, log);
  if (!status.ok()) {
    log.error(operator_text(status.error()));
    return static_cast<int>(exit_code(status.error().kind()));
  }
  return static_cast<int>(ExitCode::ok);
}

} // namespace
} // namespace vnvram

int main(int argument_count, char** arguments) {
  try {
    return vnvram::end_program(vnvram::start(argument_count, arguments));
  } catch (const std::exception& exception) {
    // Out of memory, or a mistake of ours.
    vnvram::Log("vnvram-tpm", vnvram::LogLevel::error).error(exception.what());
    return static_cast<int>(vnvram::ExitCode::failure);
  }
}
