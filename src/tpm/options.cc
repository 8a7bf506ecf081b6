#include "tpm/options.h"

#include <grp.h>
#include <sys/types.h>

#include <charconv>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "vnvram/version.h"

namespace vnvram {
namespace {

constexpr unsigned mode_bits = 0777;

// As the user wrote them.
struct Texts {
  std::string control;
  std::string server;
  std::string mode = "0660";
  std::string group;
  bool tpm2 = false;
  bool tpm12 = false;
};

void declare(CLI::App& app, Options& options, Texts& texts) {
  app.add_option("IMAGE", options.image, "The image that has the TPM's blobs")->required();
  app.add_option("--ctrl", texts.control, "Control socket for QEMU and swtpm_ioctl: unix:PATH");
  app.add_option(
      "--server", texts.server,
      "Socket for plain TPM commands: unix:PATH or tcp:HOST:PORT. Its own control socket "
      "is at PATH.ctrl or PORT + 1");
  const std::map<std::string, Startup> startups = {
      {"clear", Startup::clear}, {"state", Startup::state}, {"deactivated", Startup::deactivated}};
  app.add_option("--startup", options.startup,
                 "Power the TPM on at once, with this startup: clear, state, deactivated (TPM 1.2)")
      ->transform(CLI::CheckedTransformer(startups));
  auto* tpm2 = app.add_flag("--tpm2", texts.tpm2, "The TPM 2.0 of an image that has both");
  app.add_flag("--tpm12", texts.tpm12, "The TPM 1.2 of an image that has both")->excludes(tpm2);
  app.add_option("--pid", options.pid_file, "Write the process's number to this file");
  app.add_option("--mode", texts.mode, "Mode of unix sockets, octal")->capture_default_str();
  app.add_option("--group", texts.group, "Group of unix sockets");
  app.add_option("--user", options.user, "Become this user once everything is open");
  const std::map<std::string, Seccomp> filters = {
      {"on", Seccomp::on}, {"log", Seccomp::log}, {"off", Seccomp::off}};
  app.add_option("--seccomp", options.seccomp,
                 "System calls that are not needed: end the process (on), are only logged (log), "
                 "or pass (off). Default: on")
      ->transform(CLI::CheckedTransformer(filters));
  const std::map<std::string, LogLevel> levels = {{"error", LogLevel::error},
                                                  {"warning", LogLevel::warning},
                                                  {"info", LogLevel::info},
                                                  {"debug", LogLevel::debug}};
  app.add_option("--log-level", options.log_level, "error, warning, info or debug. Default: info")
      ->transform(CLI::CheckedTransformer(levels));
  app.set_version_flag("--version", "vnvram-tpm " + std::string(version()));
}

Status set_addresses(Options& options, const Texts& texts) {
  if (!texts.control.empty()) {
    auto address = parse_socket_address(texts.control);
    if (!address.ok()) {
      return address.error();
    }
    if (address->kind != SocketAddress::Kind::unix_path) {
      return Error(ErrorKind::invalid_argument, "--ctrl takes a unix socket", "write unix:PATH");
    }
    options.control = std::move(*address);
  }
  if (!texts.server.empty()) {
    auto address = parse_socket_address(texts.server);
    if (!address.ok()) {
      return address.error();
    }
    auto control = control_address_beside(*address);
    if (!control.ok()) {
      return control.error();
    }
    options.server = std::move(*address);
    options.server_control = std::move(*control);
  }
  if (!options.control && !options.server) {
    return Error(ErrorKind::invalid_argument, "there is nothing to serve on",
                 "give --ctrl, or --server, or both");
  }
  return {};
}

Status set_socket_access(Options& options, const Texts& texts) {
  unsigned mode = 0;
  const char* end = texts.mode.data() + texts.mode.size();
  const auto parsed = std::from_chars(texts.mode.data(), end, mode, 8);
  if (parsed.ec != std::errc() || parsed.ptr != end || mode > mode_bits) {
    return Error(ErrorKind::invalid_argument, "--mode " + texts.mode,
                 "write an octal number up to 0777");
  }
  options.socket_access.mode = mode;
  if (texts.group.empty()) {
    return {};
  }
  group entry{};
  group* found = nullptr;
  std::vector<char> text(16384);
  ::getgrnam_r(texts.group.c_str(), &entry, text.data(), text.size(), &found);
  if (found == nullptr) {
    return Error(ErrorKind::invalid_argument,
                 "--group " + texts.group + ": there is no such group");
  }
  options.socket_access.group = entry.gr_gid;
  return {};
}

} // namespace

std::variant<Options, ExitCode> parse_options(int argument_count, const char* const* arguments) {
  CLI::App app("A TPM whose state is in a vNVRAM image", "vnvram-tpm");
  Options options;
  Texts texts;
  declare(app, options, texts);
  try {
    app.parse(argument_count, arguments);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? ExitCode::ok : ExitCode::usage;
  }
  if (texts.tpm2 || texts.tpm12) {
    options.version = texts.tpm2 ? TpmVersion::tpm2_0 : TpmVersion::tpm1_2;
  }
  Status status = set_addresses(options, texts);
  if (status.ok()) {
    status = set_socket_access(options, texts);
  }
  if (!status.ok()) {
    std::cerr << "vnvram-tpm: " << status.error().text() << '\n';
    return ExitCode::usage;
  }
  return options;
}

} // namespace vnvram
