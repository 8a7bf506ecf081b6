// vnvram-tpm: a TPM whose state is in a vNVRAM image.
#include <malloc.h>
#include <sys/signalfd.h>

#include <csignal>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "base/unique_fd.h"
#include "tpm/control_server.h"
#include "tpm/control_service.h"
#include "tpm/listener.h"
#include "tpm/log.h"
#include "tpm/options.h"
#include "tpm/sandbox.h"
#include "tpm/service_notify.h"
#include "tpm/soft_tpm.h"
#include "tpm/tpm_image.h"
#include "tpm/tpm_worker.h"

namespace vnvram {
namespace {

// The signals that ask for an end come through a descriptor; every thread has them blocked.
UniqueFd take_signals() {
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN); // A limit on file sizes is an I/O error, not an end.
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  return UniqueFd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
}

// The sockets, in the order in which they are opened.
struct Sockets {
  std::optional<Listener> control;
  std::optional<Listener> server;
  std::optional<Listener> server_control;
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
  return status;
}

// Sees that libtpms accepts the state, powers on if that was asked for, and makes what this changed
// (all of a new TPM) durable.
Status prepare(SoftTpm& tpm, TpmImage& image, const Options& options, const Log& log) {
  Status status = options.startup == Startup::none ? tpm.verify() : tpm.power_on(options.startup);
  if (!status.ok()) {
    return Error(status.error().kind(), options.image + ": " + status.error().cause(),
                 status.error().remedy());
  }
  status = image.store->commit(tpm.take_changes().transaction);
  if (status.ok() && image.manufacture == Manufacture::allowed) {
    log.info(options.image + " was registered for a TPM and never used: manufactured a new one");
  }
  return status;
}

Status give_up_privileges(const Options& options) {
  if (!options.user.empty()) {
    if (Status status = become_user(options.user); !status.ok()) {
      return status;
    }
  }
  return confine(options.seccomp);
}

void serve(const Sockets& sockets, SoftTpm& tpm, TpmWorker& worker, int signal_fd, const Log& log) {
  ControlService service(tpm, worker, log);
  ControlServer server(service, log);
  if (sockets.control) {
    server.add_listener(*sockets.control, CommandSource::vm);
  }
  if (sockets.server_control) {
    server.add_listener(*sockets.server_control, CommandSource::server);
  }
  worker.serve(sockets.server ? &*sockets.server : nullptr);
  const int signal = server.run(signal_fd);
  log.info(signal == SIGINT ? "ends, because of SIGINT" : "ends, because of SIGTERM");
}

Status run(const Options& options, const Log& log) {
  const UniqueFd signals = take_signals();
  const ServiceNotify notify;
  Result<TpmImage> image =
      open_tpm_image(options.image, options.version, {.image_key_file = options.image_key_file});
  if (!image.ok()) {
    return image.error();
  }
  const auto tpm = std::make_unique<SoftTpm>(
      image->version, image->specs, std::exchange(image->contents, {}), image->manufacture);
  if (Status ready = prepare(*tpm, *image, options, log); !ready.ok()) {
    return ready;
  }
  Sockets sockets;
  if (Status opened = open_sockets(sockets, options); !opened.ok()) {
    return opened;
  }
  std::optional<PidFile> pid_file;
  if (!options.pid_file.empty()) {
    Result<PidFile> written = PidFile::write(options.pid_file);
    if (!written.ok()) {
      return written.error();
    }
    pid_file.emplace(std::move(*written));
  }
  TpmWorker worker(*tpm, *image->store, log);
  if (Status confined = give_up_privileges(options); !confined.ok()) {
    return confined;
  }
  ::malloc_trim(0); // Starting took far more memory than serving does.
  const bool is_tpm2 = image->version == TpmVersion::tpm2_0;
  log.info(fmt::format("serves the TPM {} of {}, generation {}", is_tpm2 ? "2.0" : "1.2",
                       options.image, image->store->info().generation));
  notify.send("READY=1\nSTATUS=Serving");
  serve(sockets, *tpm, worker, signals.get(), log);
  notify.send("STOPPING=1\nSTATUS=Closing the image");
  worker.stop();
  Status closed = image->store->close();
  if (closed.ok() && tpm->failed()) {
    return Error(ErrorKind::poisoned, options.image + ": ended in failure mode");
  }
  return closed;
}

} // namespace
} // namespace vnvram

int main(int argument_count, char** arguments) {
  using vnvram::ExitCode;
  try {
    auto parsed = vnvram::parse_options(argument_count, arguments);
    if (const auto* code = std::get_if<ExitCode>(&parsed)) {
      return static_cast<int>(*code);
    }
    const auto& options = std::get<vnvram::Options>(parsed);
    const vnvram::Log log(options.log_level);
    const vnvram::Status status = vnvram::run(options, log);
    if (!status.ok()) {
      log.error(status.error().text());
      return static_cast<int>(vnvram::exit_code(status.error().kind()));
    }
    return static_cast<int>(ExitCode::ok);
  } catch (const std::exception& exception) {
    // Out of memory, or a mistake of ours.
    vnvram::Log(vnvram::LogLevel::error).error(exception.what());
    return static_cast<int>(ExitCode::failure);
  }
}
