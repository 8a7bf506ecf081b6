#include "cli/serve_command.h"

#include <grp.h>

#include <charconv>
#include <csignal>
#include <map>
#include <memory>
#include <vector>

#include <fmt/core.h>

#include "base/operator_text.h"
#include "base/system_clock.h"
#include "cli/reader.h"
#include "owner/image_keeper.h"
#include "serve/owner_server.h"
#include "service/service_notify.h"
#include "service/socket_address.h"
#include "service/termination_signals.h"
#include "vnvram/space.h"

namespace vnvram::cli {
namespace {

constexpr mode_t mode_max = 0777;

const std::map<std::string, LogLevel> log_levels = {{"error", LogLevel::error},
                                                    {"warning", LogLevel::warning},
                                                    {"info", LogLevel::info},
                                                    {"debug", LogLevel::debug}};

Result<gid_t> group_of(const std::string& name) {
  group entry{};
  group* found = nullptr;
  std::vector<char> text(16384);
  ::getgrnam_r(name.c_str(), &entry, text.data(), text.size(), &found);
  if (found == nullptr) {
    return Error(ErrorKind::invalid_argument, "--group " + name + ": there is no such group");
  }
  return entry.gr_gid;
}

Result<SocketAddress> control_address(const std::string& text) {
  Result<SocketAddress> address = parse_socket_address(text);
  if (address && address->kind != SocketAddress::Kind::unix_path) {
    return Error(ErrorKind::invalid_argument, "--control takes a unix socket", "write unix:PATH");
  }
  return address;
}

} // namespace

ServeCommand::ServeCommand(CLI::App& parent)
    : Command(
          parent, "serve", "own an image, and serve its blobs to other processes",
          "The image is open, and locked, until SIGTERM or SIGINT; then what is under way is\n"
          "finished, the image is closed in good order, and the command ends with 0. Who may\n"
          "connect to the control socket may do everything: the socket's mode and group say who\n"
          "that is. `nbdkit vnvram-owner` takes unix:PATH as its image, and so do ls, get, put,\n"
          "rm, register, status, hold and release.\n\n"
          "Example:\n"
          "  vnvram serve vm.nvram --control unix:/run/vm1/owner.sock &\n"
          "  nbdkit vnvram-owner unix:/run/vm1/owner.sock export=uefi.vars -U /run/vm1/nbd.sock\n"
          "  vnvram ls unix:/run/vm1/owner.sock") {
  add_image();
  add_space_option(app(), space_);
  app()
      .add_option("--control", control_, "the control socket, unix:PATH")
      ->type_name("ADDRESS")
      ->required();
  app().add_option("--mode", mode_, "mode of the socket, octal; 0600 unless given");
  app().add_option("--group", group_, "group of the socket");
  app()
      .add_option("--log-level", log_level_, "error, warning, info (the default) or debug")
      ->check(CLI::IsMember(log_levels));
}

Result<SocketAccess> ServeCommand::socket_access() const {
  SocketAccess access;
  unsigned mode = 0;
  const char* end = mode_.data() + mode_.size();
  const auto parsed = std::from_chars(mode_.data(), end, mode, 8);
  if (parsed.ec != std::errc() || parsed.ptr != end || mode > mode_max) {
    return Error(ErrorKind::invalid_argument, "--mode " + mode_,
                 "write an octal number up to 0777");
  }
  access.mode = mode;
  if (!group_.empty()) {
    const Result<gid_t> group = group_of(group_);
    if (!group) {
      return group.error();
    }
    access.group = *group;
  }
  return access;
}

Result<ExitCode> ServeCommand::run(Output& /*output*/) {
  const Result<SocketAddress> address = control_address(control_);
  if (!address) {
    return address.error();
  }
  const Result<SocketAccess> access = socket_access();
  if (!access) {
    return access.error();
  }
  const Result<SpacePolicy> space = parse_space_policy(space_);
  if (!space) {
    return space.error();
  }
  const Result<UniqueFd> signals = take_termination_signals();
  if (!signals) {
    return signals.error();
  }
  const Log log("vnvram serve", log_levels.at(log_level_));
  const auto log_failure = [&log](const Error& error) { log.error(operator_text(error)); };
  ImageKeeper keeper(
      {.device = device(),
       .store = {},
       .space = *space,
       .space_warned = [&log](const Error& error) { log.warning(operator_text(error)); }});
  const std::uint64_t watch = keeper.watch_failures(log_failure);
  if (Status attached = keeper.attach({.location = image()}); !attached) {
    return attached.error();
  }
  const Result<Listener> listener = Listener::open(*address, *access);
  if (!listener) {
    return listener.error();
  }
  if (Status served = serve(keeper, *listener, *signals, log); !served) {
    return served.error();
  }
  keeper.end_watch(watch);
  const Status closed = keeper.detach();
  return closed ? Result<ExitCode>(ExitCode::ok) : closed.error();
}

Status ServeCommand::serve(ImageKeeper& keeper, const Listener& listener, const UniqueFd& signals,
                           const Log& log) const {
  SystemClock clock;
  const auto server = OwnerServer::start({.keeper = keeper,
                                          .location = image(),
                                          .listener = listener,
                                          .limits = {},
                                          .clock = clock,
                                          .log = log});
  if (!server) {
    return server.error();
  }
  const ServiceNotify notify;
  if (!notify.trouble().empty()) {
    log.warning("the service manager will hear nothing: " + notify.trouble());
  }
  log.info(fmt::format("serves {}, generation {}", image(), keeper.info().generation));
  notify.send("READY=1\nSTATUS=Serving");
  const int signal = wait_for_termination(signals);
  log.info(signal == SIGINT ? "ends, because of SIGINT" : "ends, because of SIGTERM");
  notify.send("STOPPING=1\nSTATUS=Closing the image");
  return {};
}

} // namespace vnvram::cli
