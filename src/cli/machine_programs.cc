#include "cli/machine_programs.h"

#include <filesystem>
#include <system_error>
#include <utility>

#include "cli/nbd_words.h"
#include "cli/tpm_words.h"
#include "device/location.h"
#include "service/sandbox.h"
#include "soft_tpm/tpm_blobs.h"

namespace vnvram::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t first_descriptor = 3; // Of those that a Program has.

std::string folder_of_this_program() {
  std::error_code error;
  return fs::read_symlink("/proc/self/exe", error).parent_path().string();
}

// There, or wherever it is found by its name.
std::string there_or(const fs::path& place, std::string name) {
  std::error_code error;
  return fs::exists(place, error) ? place.string() : std::move(name);
}

} // namespace

std::string sibling_program(const std::string& name) {
  return there_or(folder_of_this_program() + "/" + name, name);
}

std::string private_program(const std::string& name) {
  const fs::path folder = folder_of_this_program();
  return there_or(folder.parent_path() / "libexec" / "vnvram" / name, sibling_program(name));
}

MachinePrograms::MachinePrograms(Setup setup)
    : setup_(std::move(setup)), folder_(folder_of_this_program()) {}

Program MachinePrograms::owner(std::vector<std::string> options, const Listener& control,
                               const std::optional<Listener>& metrics,
                               const std::vector<HeldKey>& keys) const {
  std::vector<int> descriptors;
  const auto pass = [&](int descriptor) {
    descriptors.push_back(descriptor);
    return std::to_string(first_descriptor + descriptors.size() - 1);
  };
  std::vector<std::string> arguments{"serve"};
  const std::optional<int> image = descriptor_of(setup_.image);
  arguments.push_back(image ? "fd:" + pass(*image) : setup_.image);
  arguments.insert(arguments.end(), {"--control", "fd:" + pass(control.fd())});
  if (metrics) {
    arguments.insert(arguments.end(), {"--metrics", "fd:" + pass(metrics->fd())});
  }
  for (const HeldKey& key : keys) {
    arguments.insert(arguments.end(),
                     {"--key", key.descriptor ? key.text + pass(key.descriptor->get()) : key.text});
  }
  // Behind the others.
  arguments.insert(arguments.end(),
                   {"--channel", std::to_string(first_descriptor + descriptors.size())});
  arguments.insert(arguments.end(), options.begin(), options.end());
  // By the name that this one has, where there may be a newer one by now.
  return {.path = folder_ + "/vnvram",
          .arguments = std::move(arguments),
          .descriptors = std::move(descriptors),
          .environment = {},
          .activating_count = 0};
}

Result<std::optional<uid_t>> MachinePrograms::find_front_ends_user() const {
  if (setup_.user.empty()) {
    return std::optional<uid_t>();
  }
  const Result<uid_t> found = find_user(setup_.user);
  return found ? Result<std::optional<uid_t>>(*found) : found.error();
}

Result<FrontEnd> MachinePrograms::tpm(const DeviceSocket& socket, const Listener& listener) const {
  const Result<TpmWords> words = TpmWords::parse(socket);
  if (!words) {
    return words.error();
  }
  const Result<std::optional<uid_t>> user = find_front_ends_user();
  if (!user) {
    return user.error();
  }
  const std::string& prefix = words->blobs_prefix;
  if (setup_.shared && !words->seals) {
    return Error(ErrorKind::invalid_argument,
                 "--tpm ...,no-seal with --shared: an image is handed over by its seal",
                 "leave out no-seal");
  }
  // A sealed image is no obstacle: the owner has been told whether to accept one.
  std::vector<std::string> arguments{
      "fd:4",        "--ctrl",         "fd:3",         "--incoming",
      "--log-level", setup_.log_level, "--image-name", location_name(setup_.image),
      "--seccomp",   setup_.seccomp};
  if (setup_.shared) {
    arguments.emplace_back("--shared");
  } else {
    arguments.insert(arguments.end(), {"--successors", "5"});
  }
  arguments.insert(arguments.end(), words->options.begin(), words->options.end());
  if (!setup_.user.empty()) {
    arguments.insert(arguments.end(), {"--user", setup_.user});
  }
  FrontEnd made{.program = {.path = sibling_program("vnvram-tpm"),
                            .arguments = std::move(arguments),
                            .descriptors = {listener.fd()},
                            .environment = {},
                            .activating_count = 0},
                .successor_arguments = setup_.shared
                                           ? std::vector<std::string>()
                                           : std::vector<std::string>{"--predecessor", "6"},
                .session = {.device = prefix.empty() ? "tpm" : "tpm:" + prefix,
                            .pid = 0,
                            .uid = *user,
                            .rights = {},
                            .except_endings = {}},
                .listening_socket = listener.fd(),
                .socket_path = listener.address().path,
                .says_ready = true,
                .loss = "a machine that runs has no TPM until its QEMU is started again"};
  for (const std::string& name : tpm_blob_names()) {
    made.session.rights.push_back({.name = prefix + name, .writes = true, .registers = true});
  }
  return made;
}

Result<FrontEnd> MachinePrograms::nbd(const DeviceSocket& socket, const Listener& listener) const {
  const Result<NbdWords> words = NbdWords::parse(socket);
  if (!words) {
    return words.error();
  }
  const Result<std::optional<uid_t>> user = find_front_ends_user();
  if (!user) {
    return user.error();
  }
  const fs::path plugin = fs::path(folder_).parent_path() / "lib" / "nbdkit-vnvram-owner-plugin.so";
  std::vector<std::string> arguments{"--foreground"};
  if (!setup_.user.empty()) {
    arguments.insert(arguments.end(), {"--user", setup_.user});
  }
  arguments.insert(arguments.end(),
                   {there_or(plugin, "vnvram-owner"), "fd:4", "seccomp=" + setup_.seccomp});
  arguments.insert(arguments.end(), socket.words.begin(), socket.words.end());
  FrontEnd made{
      .program = {.path = "nbdkit",
                  .arguments = std::move(arguments),
                  .descriptors = {listener.fd()},
                  .environment = {},
                  .activating_count = 1},
      .session = {.device = "nbd", .pid = 0, .uid = *user, .rights = {}, .except_endings = {}},
      .listening_socket = listener.fd(),
      .socket_path = listener.address().path,
      .says_ready = false,
      .loss = "a QEMU whose blockdev has a reconnect-delay goes on"};
  for (const std::string& name : words->exports) {
    made.session.rights.push_back({.name = name, .writes = true});
  }
  if (made.session.rights.empty()) {
    made.session.rights.push_back({.name = "", .is_prefix = true, .writes = true});
    made.session.except_endings = tpm_blob_names();
  }
  return made;
}

} // namespace vnvram::cli
