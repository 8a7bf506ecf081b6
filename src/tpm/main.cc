// vnvram-tpm: a TPM whose state is in a vNVRAM image.
#include <malloc.h>

#include <csignal>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "base/operator_text.h"
#include "base/unique_fd.h"
#include "client/local_blob_client.h"
#include "device/location.h"
#include "owner/image_keeper.h"
#include "rpc/owner_address.h"
#include "rpc/remote_blob_client.h"
#include "service/listener.h"
#include "service/log.h"
#include "service/name_remover.h"
#include "service/sandbox.h"
#include "service/service_notify.h"
#include "service/termination_signals.h"
#include "soft_tpm/soft_tpm.h"
#include "tpm/admin_server.h"
#include "tpm/adopted_image.h"
#include "tpm/control_server.h"
#include "tpm/control_service.h"
#include "tpm/custody.h"
#include "tpm/image_trouble.h"
#include "tpm/options.h"
#include "tpm/tpm_image.h"
#include "tpm/tpm_storage.h"
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

Error about_image(const std::string& image, const Error& error) {
  return {error.kind(), image + ": " + error.cause(), error.remedy()};
}

// Sees that libtpms accepts the state, and powers on if that was asked for. What this changes (all
// of a new TPM) is made durable, unless it is not ours to change.
Status prepare(SoftTpm& tpm, TpmStorage& storage, Manufacture manufacture, const Options& options,
               const Log& log) {
  const Status started =
      options.startup == Startup::none ? tpm.verify() : tpm.power_on(options.startup);
  if (!started.ok()) {
    return about_image(options.name(), started.error());
  }
  if (storage.status().custody != Custody::State::ours) {
    log.warning(options.name() + " is sealed: its state was handed over. The TPM waits for a state "
                                 "that QEMU sets, or for vnvram tpm unseal");
    return {};
  }
  if (manufacture == Manufacture::allowed) {
    log.info(options.name() + " was registered for a TPM and never used: manufactured a new one");
  }
  return storage.commit_first();
}

Status give_up_privileges(const Options& options) {
  if (!options.user.empty()) {
    if (Status status = become_user(options.user); !status.ok()) {
      return status;
    }
  }
  const bool has_owner = scheme_of(options.image) == LocationScheme::owner;
  return confine(options.seccomp, {.connections = options.admin.has_value() ||
                                                  (has_owner && !is_passed_on(options.image)),
                                   .sessions = has_owner,
                                   .threads = false});
}

// The TPM's blobs take less than half of it, and the shadow holds them all anyway.
constexpr std::uint64_t cache_size_bytes = std::uint64_t{1} << 20U;

// The TPM, and what its state goes through to the image. Each outlives those below it.
struct Tpm {
  std::unique_ptr<ImageKeeper> keeper; ///< None: another process has the image.
  std::unique_ptr<BlobClient> client;
  std::unique_ptr<ImageTrouble> trouble;
  std::unique_ptr<SoftTpm> tpm;
  std::unique_ptr<Custody> custody;
  std::unique_ptr<AdoptedImage> image;
  std::unique_ptr<TpmStorage> storage;
};

Tpm make_without_tpm(std::unique_ptr<BlobClient> client, const Log& log) {
  Tpm made;
  made.client = std::move(client);
  made.trouble = std::make_unique<ImageTrouble>(*made.client, log);
  return made;
}

Tpm make_without_tpm(const Options& options, const Log& log) {
  ImageKeeper::Setup setup{
      .device = {.image_key_file = options.image_key_file},
      .store = {},
      .space = options.space,
      .space_warned = [&log](const Error& error) { log.warning(operator_text(error)); }};
  setup.store.cache_size_bytes = cache_size_bytes;
  auto keeper = std::make_unique<ImageKeeper>(std::move(setup));
  Tpm made = make_without_tpm(std::make_unique<LocalBlobClient>(*keeper), log);
  made.keeper = std::move(keeper);
  return made;
}

void add_tpm(Tpm& made, std::unique_ptr<SoftTpm> tpm, const Options& options, const Log& log) {
  made.tpm = std::move(tpm);
  made.custody = std::make_unique<Custody>(
      *made.tpm, Custody::Setup{.seals = options.seals, .shuts_down = options.shuts_down}, log);
  made.image =
      std::make_unique<AdoptedImage>(*made.tpm, *made.custody, *made.client, options.name(), log);
  made.storage = std::make_unique<TpmStorage>(
      TpmStorage::Parts{*made.tpm, *made.custody, *made.image, made.keeper.get(), *made.client,
                        *made.trouble, log, options.blobs_prefix},
      options.seccomp == Seccomp::on);
}

Tpm make_detached(const Options& options, const Log& log) {
  const TpmVersion version = options.version.value_or(TpmVersion::tpm2_0);
  Tpm made = make_without_tpm(options, log);
  add_tpm(made,
          std::make_unique<SoftTpm>(version, tpm_blob_specs(version, options.blobs_prefix),
                                    std::vector<std::vector<std::byte>>(tpm_state_count),
                                    Manufacture::forbidden),
          options, log);
  return made;
}

Result<std::unique_ptr<BlobClient>> join_owner(const std::string& address, const Log& log) {
  Result<Connector> connector = connector_to(address);
  if (!connector.ok()) {
    return connector.error();
  }
  Result<std::unique_ptr<RemoteBlobClient>> client =
      RemoteBlobClient::connect({.connect = *std::move(connector),
                                 .log = [&log](const std::string& text) { log.warning(text); }});
  if (!client.ok()) {
    return client.error();
  }
  return std::unique_ptr<BlobClient>(*std::move(client));
}

// The image, open here, or as a session of the process that has it open.
Result<Tpm> open_image(const Options& options, const Log& log) {
  if (scheme_of(options.image) == LocationScheme::owner) {
    Result<std::unique_ptr<BlobClient>> client = join_owner(options.image, log);
    return client.ok() ? Result<Tpm>(make_without_tpm(*std::move(client), log)) : client.error();
  }
  Tpm made = make_without_tpm(options, log);
  const Status attached =
      made.keeper->attach({.location = options.image, .accept_sealed = options.incoming});
  return attached.ok() ? Result<Tpm>(std::move(made)) : attached.error();
}

Result<Tpm> make_attached(const Options& options, const Log& log) {
  Result<Tpm> opened = open_image(options, log);
  if (!opened.ok()) {
    return opened.error();
  }
  Tpm made = *std::move(opened);
  Result<TpmImage> image =
      read_tpm_image(*made.client, options.name(), {options.version, options.blobs_prefix});
  if (!image.ok()) {
    return image.error();
  }
  if (image->state.sealed && !options.incoming) { // An image of our own is not even opened then.
    return Error(ErrorKind::sealed,
                 options.name() + ": the image is sealed: its state was handed over",
                 "--incoming, for a machine that comes back to it; or vnvram unseal");
  }
  add_tpm(made,
          std::make_unique<SoftTpm>(image->version, image->specs,
                                    std::exchange(image->contents, {}), image->manufacture),
          options, log);
  Status ready = made.image->start_with(*image);
  if (ready.ok()) {
    ready = prepare(*made.tpm, *made.storage, image->manufacture, options, log);
  }
  if (!ready.ok()) {
    return ready.error();
  }
  return made;
}

void serve(const Sockets& sockets, const Tpm& made, TpmWorker& worker, int signal_fd,
           const Log& log) {
  ControlService service(*made.tpm, *made.custody, *made.image, worker, log);
  ControlServer server(service, ConnectionLimits(), log);
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

// The end: what the machine's power switch would have done, and the image at rest.
Status power_off(const Tpm& made, bool held, const Log& log) {
  made.tpm->stop([&] { return !held && made.custody->may_shut_down(); });
  if (made.tpm->was_shut_down()) {
    log.info("the TPM was sent TPM2_Shutdown, because its guest has not done so");
  }
  return made.storage->close();
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

Status run(const Options& options, const Log& log) {
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
  Result<Tpm> made = options.detached ? make_detached(options, log) : make_attached(options, log);
  if (!made.ok()) {
    return made.error();
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
  const std::unique_ptr<NameRemover> remover = *std::move(started); // Ends before the sockets do.
  if (Status handed_over = hand_over_names(*remover, sockets, pid_file); !handed_over.ok()) {
    return handed_over;
  }
  if (options.admin) {
    ImageKeeper::load_libraries(); // A drive that needs them and is there has them.
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
  ::malloc_trim(0); // Starting took far more memory than serving does.
  log.info(opening_words(*made, options));
  notify.send("READY=1\nSTATUS=Serving");
  serve(sockets, *made, worker, signals->get(), log);
  notify.send("STOPPING=1\nSTATUS=Closing the image");
  admin.reset();
  worker.stop();
  Status closed = power_off(*made, worker.is_held(), log);
  if (closed.ok() && made->tpm->failed()) {
    return Error(ErrorKind::poisoned, options.name() + ": ended in failure mode");
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
    const vnvram::Log log("vnvram-tpm", options.log_level);
    const vnvram::Status status = vnvram::run(options, log);
    if (!status.ok()) {
      log.error(operator_text(status.error()));
      return static_cast<int>(vnvram::exit_code(status.error().kind()));
    }
    return static_cast<int>(ExitCode::ok);
  } catch (const std::exception& exception) {
    // Out of memory, or a mistake of ours.
    vnvram::Log("vnvram-tpm", vnvram::LogLevel::error).error(exception.what());
    return static_cast<int>(ExitCode::failure);
  }
}
