#include "cli/machine_programs.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>

#include <fmt/core.h>

#include "soft_tpm/tpm_blobs.h"

namespace vnvram::cli {
namespace {

namespace fs = std::filesystem;

// What the names of TPMs' blobs end with; all there is to the names of the TPM without a prefix.
std::vector<std::string> tpm_blob_names() {
  std::vector<std::string> names;
  for (const TpmVersion version : {TpmVersion::tpm2_0, TpmVersion::tpm1_2}) {
    for (std::size_t state = 0; state < tpm_state_count; ++state) {
      names.emplace_back(tpm_blob_name(version, static_cast<TpmState>(state)));
    }
  }
  return names;
}

std::string folder_of_this_program() {
  std::error_code error;
  return fs::read_symlink("/proc/self/exe", error).parent_path().string();
}

// There, or wherever it is found by its name.
std::string there_or(const fs::path& place, std::string name) {
  std::error_code error;
  return fs::exists(place, error) ? place.string() : std::move(name);
}

bool is_tpm_word(const std::string& word) {
  constexpr std::array<std::string_view, 4> words = {"tpm2", "tpm12", "no-seal",
                                                     "no-auto-shutdown"};
  return std::find(words.begin(), words.end(), word) != words.end();
}

} // namespace

MachinePrograms::MachinePrograms(Setup setup)
    : setup_(std::move(setup)), folder_(folder_of_this_program()) {}

Program MachinePrograms::owner(std::vector<std::string> options, const Listener& control,
                               const std::optional<Listener>& metrics) const {
  std::vector<std::string> arguments{"serve", setup_.image, "--control", "fd:3", "--channel"};
  std::vector<int> descriptors{control.fd()};
  if (metrics) {
    descriptors.push_back(metrics->fd());
    arguments.insert(arguments.end(), {"5", "--metrics", "fd:4"});
  } else {
    arguments.emplace_back("4"); // Behind the others.
  }
  arguments.insert(arguments.end(), options.begin(), options.end());
  // By the name that this one has, where there may be a newer one by now.
  return {.path = folder_ + "/vnvram",
          .arguments = std::move(arguments),
          .descriptors = std::move(descriptors),
          .environment = {},
          .activating_count = 0};
}

Result<FrontEnd> MachinePrograms::tpm(const DeviceSocket& socket, const Listener& listener) const {
  // A sealed image is no obstacle: the owner has been told whether to accept one.
  std::vector<std::string> arguments{"fd:4",        "--ctrl",         "fd:3",         "--incoming",
                                     "--log-level", setup_.log_level, "--image-name", setup_.image,
                                     "--seccomp",   setup_.seccomp};
  std::string prefix;
  for (const std::string& word : socket.words) {
    constexpr std::string_view blobs = "blobs=";
    if (word.starts_with(blobs)) {
      prefix = word.substr(blobs.size());
    } else if (is_tpm_word(word)) {
      arguments.push_back("--" + word);
    } else {
      return Error(ErrorKind::invalid_argument, "--tpm " + socket.address.text() + "," + word,
                   "behind the address: blobs=PREFIX, tpm2, tpm12, no-seal, no-auto-shutdown");
    }
  }
  if (Status is_name = check_tpm_blobs_prefix(prefix); !is_name) {
    return is_name.error();
  }
  arguments.insert(arguments.end(), {"--blobs", prefix});
  if (!setup_.user.empty()) {
    arguments.insert(arguments.end(), {"--user", setup_.user});
  }
  FrontEnd made{.program = {.path = there_or(folder_ + "/vnvram-tpm", "vnvram-tpm"),
                            .arguments = std::move(arguments),
                            .descriptors = {listener.fd()},
                            .environment = {},
                            .activating_count = 0},
                .session = {.device = prefix.empty() ? "tpm" : "tpm:" + prefix,
                            .pid = 0,
                            .rights = {},
                            .except_endings = {}},
                .listening_socket = listener.fd(),
                .says_ready = true,
                .loss = "a machine that runs has no TPM until its QEMU is started again"};
  for (const std::string& name : tpm_blob_names()) {
    made.session.rights.push_back({.name = prefix + name, .writes = true, .registers = true});
  }
  return made;
}

Result<FrontEnd> MachinePrograms::nbd(const DeviceSocket& socket, const Listener& listener) const {
  const fs::path plugin = fs::path(folder_).parent_path() / "lib" / "nbdkit-vnvram-owner-plugin.so";
  std::vector<std::string> arguments{"--foreground"};
  if (!setup_.user.empty()) {
    arguments.insert(arguments.end(), {"--user", setup_.user});
  }
  arguments.insert(arguments.end(), {there_or(plugin, "vnvram-owner"), "fd:4"});
  FrontEnd made{.program = {.path = "nbdkit",
                            .arguments = {},
                            .descriptors = {listener.fd()},
                            .environment = {},
                            .activating_count = 1},
                .session = {.device = "nbd", .pid = 0, .rights = {}, .except_endings = {}},
                .listening_socket = listener.fd(),
                .says_ready = false,
                .loss = "a QEMU whose blockdev has a reconnect-delay goes on"};
  for (const std::string& word : socket.words) {
    constexpr std::string_view exports = "export=";
    if (!word.starts_with(exports) && !word.starts_with("readonly=")) {
      return Error(ErrorKind::invalid_argument, "--nbd " + socket.address.text() + "," + word,
                   "behind the address: export=NAME, readonly=NAME");
    }
    if (word.starts_with(exports)) {
      made.session.rights.push_back({.name = word.substr(exports.size()), .writes = true});
    }
    arguments.push_back(word);
  }
  if (made.session.rights.empty()) {
    made.session.rights.push_back({.name = "", .is_prefix = true, .writes = true});
    made.session.except_endings = tpm_blob_names();
  }
  made.program.arguments = std::move(arguments);
  return made;
}

} // namespace vnvram::cli
