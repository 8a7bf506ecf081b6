#include "cli/serve_command.h"

#include <array>
#include <csignal>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "cli/device_socket.h"
#include "cli/image_owner.h"
#include "cli/input.h"
#include "cli/machine_devices.h"
#include "cli/machine_programs.h"
#include "cli/machine_text.h"
#include "cli/owner_before_text.h"
#include "cli/reader.h"
#include "cli/repeated_option.h"
#include "cli/shared_conflicts.h"
#include "cli/socket_access.h"
#include "device/location.h"
#include "device/opened_file.h"
#include "service/service_notify.h"
#include "service/termination_signals.h"
#include "supervise/supervisor.h"
#include "vnvram/space.h"

namespace vnvram::cli {
namespace {

const std::map<std::string, LogLevel> log_levels = {{"error", LogLevel::error},
                                                    {"warning", LogLevel::warning},
                                                    {"info", LogLevel::info},
                                                    {"debug", LogLevel::debug}};

const std::map<std::string, Seccomp> seccomp_modes = {
    {"on", Seccomp::on}, {"log", Seccomp::log}, {"off", Seccomp::off}};

Result<SocketAddress> control_address(const std::string& text) {
  Result<SocketAddress> address = parse_socket_address(text);
  if (address && address->kind == SocketAddress::Kind::tcp) {
    return Error(ErrorKind::invalid_argument, "--control takes a unix socket", "write unix:PATH");
  }
  return address;
}

} // namespace

ServeCommand::ServeCommand(CLI::App& parent)
    : Command(
          parent, "serve", "own an image, and serve it: to a machine's devices, to other processes",
          "One image for all that a machine remembers. With --tpm and --nbd the programs that "
          "serve\n"
          "its TPM (vnvram-tpm) and its flash, EEPROM, ... (nbdkit) are started, each with one\n"
          "socket and the right to its own blobs, and started again when they die. The image is\n"
          "open, and locked, until SIGTERM or SIGINT; then the devices end, what is under way is\n"
          "finished, the image is closed in good order, and the command ends with 0. SIGHUP\n"
          "exchanges the owner for what is installed now, without the machine noticing more than\n"
          "a delay.\n\n"
          "Who may connect to the control socket may do everything: `vnvram ls`, `get`, `put`,\n"
          "`rm`, `register`, `status`, `hold`, `release`, `metrics`, `watch` and\n"
          "`nbdkit vnvram-owner` take unix:PATH. A session that asks faster than --rate-bytes and\n"
          "--rate-requests allow waits, and no other one does.\n\n"
          "Example:\n"
          "  vnvram create vm.nvram --tpm2 --uefi /usr/share/OVMF/OVMF_VARS_4M.fd\n"
          "  vnvram serve vm.nvram --control unix:/run/vm1/owner.sock \\\n"
          "    --tpm unix:/run/vm1/tpm.sock --nbd unix:/run/vm1/nbd.sock &\n"
          "  vnvram status unix:/run/vm1/owner.sock\n"
          "The same with --print qemu behind it prints what QEMU is to be started with."),
      metrics_(app()), rates_(app()), anchor_(AnchorOptions::of_owner(app())), take_over_(app()),
      grow_(app()) {
  add_image();
  add_space_option(app(), space_);
  app().add_flag(
      "--reservation", reservation_,
      "have a whole SCSI or NVMe device take writes from this host alone for as long as "
      "the image is open (a persistent reservation); with --shared that goes over with it");
  app()
      .add_option("--control", control_, "the control socket: unix:PATH, or fd:N of an open one")
      ->type_name("ADDRESS")
      ->required();
  repeated(app().add_option(
               "--tpm", tpm_,
               "serve a TPM here: unix:PATH or fd:N, and behind it ,blobs=PREFIX (of several TPMs "
               "the one of `create --tpm2=PREFIX`) ,tpm2 ,tpm12 ,no-seal ,no-auto-shutdown; may "
               "be repeated with other prefixes"))
      ->type_name("ADDRESS[,WORD]...");
  repeated(app().add_option(
               "--nbd", nbd_,
               "serve the blobs that are no TPM's as NBD exports here: unix:PATH or fd:N, and "
               "behind it ,export=NAME ,readonly=NAME; may be repeated"))
      ->type_name("ADDRESS[,WORD]...");
  app().add_flag("--incoming", incoming_,
                 "the machine comes from elsewhere: accept a sealed image, which is not sealed any "
                 "more when its devices change something");
  app().add_flag("--shared", shared_,
                 "the other host of a migration sees the image as well: the one that QEMU carries "
                 "the TPM's state to takes it, or without --tpm the one that `vnvram go-on` names; "
                 "with --incoming it is not opened before that. For one machine, with its TPM and "
                 "its UEFI variables");
  app().add_option("--mode", mode_,
                   "mode of the sockets, octal; unless given 0600, and 0660 of --tpm and --nbd");
  app().add_option("--group", group_, "group of the sockets");
  app().add_option("--user", user_, "the devices' programs become this user")->type_name("USER");
  app()
      .add_option("--log-level", log_level_, "error, warning, info (the default) or debug")
      ->check(CLI::IsMember(log_levels));
  app()
      .add_option("--seccomp", seccomp_,
                  "what a system call does that the owner, the TPM or nbdkit does not need: end "
                  "the process "
                  "(on, the default), get logged (log), or pass (off)")
      ->check(CLI::IsMember(seccomp_modes));
  app()
      .add_option("--print", print_,
                  "serve nothing, but print QEMU's arguments, or libvirt's XML, for the sockets of "
                  "--tpm and --nbd, and end")
      ->check(CLI::IsMember({"qemu", "libvirt"}));
  app().add_option("--channel", channel_)->group(""); // Not for people.
  app().add_flag("--again", again_)->group("");
  app().add_option("--after", after_)->group("");
  app().add_option("--place", place_)->group("");
  app().add_option("--moved-to", moved_to_)->group("");
  app().add_flag("--tpm-hands-over", tpm_hands_over_)->group("");
}

Result<ExitCode> ServeCommand::run(Output& output) {
  if (Status is_open = check_descriptor(image()); !is_open) {
    return is_open.error();
  }
  if (!print_.empty()) {
    return print(output);
  }
  if (shared_ && channel_ < 0) {
    if (Status shared = check_shared({.image = image(),
                                      .device = device(),
                                      .tpm_count = tpm_.size(),
                                      .is_incoming = incoming_,
                                      .takes_over = take_over_.word().has_value()});
        !shared) {
      return shared.error();
    }
  }
  const Log log("vnvram serve", log_levels.at(log_level_));
  return tpm_.empty() && nbd_.empty() ? own(log) : supervise(log);
}

DeviceOptions ServeCommand::device_of_owner(const Log& log) const {
  DeviceOptions options = device();
  options.note = [&log](const std::string& text) { log.warning(text); };
  if (shared_) {
    options.image_format = "raw"; // A VM image cannot be looked at beside the one who has it.
  }
  return options;
}

Result<ExitCode> ServeCommand::print(Output& output) const {
  std::vector<BlobInfo> blobs;
  const Status read = read_image(image(), device(), keys(), [&](Store& store) -> Status {
    blobs = store.blobs();
    return {};
  });
  if (!read) {
    return read.error();
  }
  const Result<MachineDevices> devices = MachineDevices::of(tpm_, nbd_, blobs);
  if (!devices) {
    return devices.error();
  }
  const bool is_qemu = print_ == "qemu";
  output.write_text(is_qemu ? qemu_text(*devices) : libvirt_text(*devices));
  for (const std::string& note : is_qemu ? qemu_notes(*devices) : libvirt_notes(*devices)) {
    show_note(note);
  }
  return ExitCode::ok;
}

Result<ExitCode> ServeCommand::own(const Log& log) const {
  const Result<SocketAddress> control = control_address(control_);
  if (!control) {
    return control.error();
  }
  Result<SocketAccess> access = parse_socket_access("--", mode_, group_);
  if (!access) {
    return access.error();
  }
  access->mode = mode_.empty() ? 0600 : access->mode;
  const Result<SpacePolicy> space = parse_space_policy(space_);
  if (!space) {
    return space.error();
  }
  const Result<AnchorUse> anchor = anchor_.open();
  if (!anchor) {
    return anchor.error();
  }
  const Result<std::uint64_t> grow_max_bytes = grow_.max_bytes();
  if (!grow_max_bytes) {
    return grow_max_bytes.error();
  }
  const std::optional<OwnerBefore> comes_after = owner_before_of(after_);
  if (!after_.empty() && !comes_after) { // Without the look it would open what is another host's.
    return Error(ErrorKind::invalid_argument, "--after " + after_ + ": is no EPOCH:PID,...");
  }
  ImageOwner::Setup setup{.image = place_.empty() ? image() : place_,
                          .moved_to = moved_to_,
                          .device = device_of_owner(log),
                          .anchor = *anchor,
                          .keys = keys(),
                          .space = *space,
                          .reserve = reservation_,
                          .grow_max_bytes = *grow_max_bytes,
                          .accept_sealed = (incoming_ && !shared_) || again_,
                          .is_shared = shared_,
                          // As long as none of those before has opened it.
                          .stands_by = shared_ && incoming_ && after_.empty(),
                          .tpm_hands_over = tpm_hands_over_,
                          // Not by the next: the image may be another host's by then.
                          .take_over = again_ ? std::nullopt : take_over_.word(),
                          .is_incoming = incoming_ && !again_ && !shared_,
                          .takes_over = again_,
                          .comes_after = comes_after,
                          .control = *control,
                          .access = *access,
                          .channel = channel_,
                          // One that nobody has started removes its socket's name at the end.
                          .seccomp = channel_ < 0 ? std::nullopt
                                                  : std::optional(seccomp_modes.at(seccomp_)),
                          .metrics = metrics_,
                          .rates = rates_.rates(),
                          .log = log};
  for (;;) {
    ImageOwner owner(setup);
    const Status done = owner.run();
    if (!done || owner.goes_on_at().empty()) {
      return done ? Result<ExitCode>(ExitCode::ok) : done.error();
    }
    setup.image = owner.location();
    setup.moved_to = {owner.goes_on_at()};
    setup.is_incoming = false;
    setup.take_over.reset();
  }
}

std::vector<std::string> ServeCommand::owner_options() const {
  std::vector<std::string> options{"--space",  space_,      "--log-level",
                                   log_level_, "--seccomp", seccomp_};
  if (!device().image_key_file.empty()) {
    options.insert(options.end(), {"--image-key", device().image_key_file});
  }
  if (reservation_) {
    options.emplace_back("--reservation");
  }
  if (incoming_) {
    options.emplace_back("--incoming");
  }
  if (shared_) {
    options.emplace_back("--shared");
    if (!tpm_.empty()) {
      options.emplace_back("--tpm-hands-over");
    }
  }
  const std::vector<std::string> take_over = take_over_.arguments();
  options.insert(options.end(), take_over.begin(), take_over.end());
  const std::vector<std::string> grow = grow_.arguments();
  options.insert(options.end(), grow.begin(), grow.end());
  const std::vector<std::string> rates = rates_.arguments();
  options.insert(options.end(), rates.begin(), rates.end());
  const std::vector<std::string> anchor = anchor_.arguments();
  options.insert(options.end(), anchor.begin(), anchor.end());
  return options;
}

// For each owner that there will be.
Result<std::vector<HeldKey>> ServeCommand::hold_keys() const {
  std::vector<HeldKey> held;
  for (const std::string& text : key_texts()) {
    Result<HeldKey> key = HeldKey::hold(text, location_name(image()));
    if (!key) {
      return key.error();
    }
    held.push_back(*std::move(key));
  }
  return held;
}

Result<std::vector<FrontEnd>> ServeCommand::front_ends(std::list<Listener>& listeners,
                                                       const SocketAccess& access) const {
  const MachinePrograms programs({.image = image(),
                                  .user = user_,
                                  .log_level = log_level_,
                                  .seccomp = seccomp_,
                                  .shared = shared_});
  std::vector<FrontEnd> made;
  const auto add = [&](const std::string& option, const std::string& text, auto program) -> Status {
    const Result<DeviceSocket> socket = DeviceSocket::parse(option, text);
    if (!socket) {
      return socket.error();
    }
    Result<Listener> listener = Listener::open(socket->address, access);
    if (!listener) {
      return listener.error();
    }
    listeners.push_back(*std::move(listener));
    Result<FrontEnd> front_end = (programs.*program)(*socket, listeners.back());
    if (!front_end) {
      return front_end.error();
    }
    made.push_back(*std::move(front_end));
    return {};
  };
  std::set<std::string> tpm_names;
  for (const std::string& text : tpm_) {
    if (Status added = add("--tpm", text, &MachinePrograms::tpm); !added) {
      return added.error();
    }
    if (!tpm_names.insert(made.back().session.device).second) {
      return Error(ErrorKind::invalid_argument, "--tpm " + text + ": two TPMs with the same blobs",
                   "write --tpm ADDRESS,blobs=PREFIX for one whose blobs `create --tpm2=PREFIX` or "
                   "`register --tpm2=PREFIX` has made");
    }
  }
  for (const std::string& text : nbd_) {
    if (Status added = add("--nbd", text, &MachinePrograms::nbd); !added) {
      return added.error();
    }
  }
  return made;
}

Result<ExitCode> ServeCommand::supervise(const Log& log) const {
  if (const auto grow_max_bytes = grow_.max_bytes(); !grow_max_bytes) {
    return grow_max_bytes.error();
  }
  const Result<SocketAddress> control = control_address(control_);
  if (!control) {
    return control.error();
  }
  const Result<SocketAccess> access = parse_socket_access("--", mode_, group_);
  if (!access) {
    return access.error();
  }
  const Result<UniqueFd> signals = take_signals(std::array{SIGTERM, SIGINT, SIGHUP});
  if (!signals) {
    return signals.error();
  }
  Result<Readiness> readiness = Readiness::open();
  if (!readiness) {
    return readiness.error();
  }
  const SocketAccess for_operators{.mode = mode_.empty() ? 0600 : access->mode,
                                   .group = access->group};
  const Result<Listener> control_listener = Listener::open(*control, for_operators);
  if (!control_listener) {
    return control_listener.error();
  }
  const Result<std::optional<Listener>> metrics = metrics_.open();
  if (!metrics) {
    return metrics.error();
  }
  std::list<Listener> listeners;
  Result<std::vector<FrontEnd>> devices = front_ends(listeners, *access);
  if (!devices) {
    return devices.error();
  }
  const Result<std::vector<HeldKey>> keys = hold_keys();
  if (!keys) {
    return keys.error();
  }
  const ServiceNotify notify;
  const MachinePrograms programs({.image = image(),
                                  .user = user_,
                                  .log_level = log_level_,
                                  .seccomp = seccomp_,
                                  .shared = shared_});
  Supervisor supervisor(
      {.owner = programs.owner(owner_options(), *control_listener, *metrics, *keys),
       .owner_again_arguments = {"--again"},
       .owner_after_option = "--after",
       .owner_moved_option = "--moved-to",
       .owner_place_option = "--place",
       .front_ends = *std::move(devices),
       .signals = *signals,
       .notify = notify,
       .log = log},
      *std::move(readiness));
  const Result<int> code = supervisor.run();
  return code ? Result<ExitCode>(static_cast<ExitCode>(*code)) : code.error();
}

} // namespace vnvram::cli
