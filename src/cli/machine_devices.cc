#include "cli/machine_devices.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <string_view>
#include <system_error>
#include <utility>

#include <fmt/core.h>

#include "cli/device_socket.h"
#include "cli/nbd_words.h"
#include "cli/tpm_words.h"
#include "uefi/variable_store_template.h"

namespace vnvram::cli {
namespace {

// As who starts the machine may be in another folder.
Result<std::string> path_of(const std::string& option, const DeviceSocket& socket) {
  if (socket.address.kind != SocketAddress::Kind::unix_path) {
    return Error(ErrorKind::invalid_argument,
                 option + " " + socket.address.text() + ": what it is called is not known here",
                 "write unix:PATH for --print");
  }
  std::error_code error;
  const std::filesystem::path path = std::filesystem::absolute(socket.address.path, error);
  return error ? socket.address.path : path.lexically_normal().string();
}

const BlobInfo* find(const std::vector<BlobInfo>& blobs, std::string_view name) {
  const auto found = std::find_if(blobs.begin(), blobs.end(),
                                  [&](const BlobInfo& blob) { return blob.name == name; });
  return found == blobs.end() ? nullptr : &*found;
}

bool is_a_tpms(const BlobInfo& blob) {
  const std::vector<std::string> endings = tpm_blob_names();
  return std::any_of(endings.begin(), endings.end(),
                     [&](const std::string& ending) { return blob.name.ends_with(ending); });
}

std::optional<TpmVersion> version_there(const TpmWords& words, const std::vector<BlobInfo>& blobs) {
  for (const TpmVersion version : {TpmVersion::tpm2_0, TpmVersion::tpm1_2}) {
    const bool is_wanted = !words.version || *words.version == version;
    const auto name = tpm_blob_name(version, TpmState::permanent);
    if (is_wanted && find(blobs, words.blobs_prefix + std::string(name)) != nullptr) {
      return version;
    }
  }
  return std::nullopt;
}

} // namespace

Status MachineDevices::add_tpm(const std::string& text, const std::vector<BlobInfo>& blobs) {
  const Result<DeviceSocket> socket = DeviceSocket::parse("--tpm", text);
  if (!socket) {
    return socket.error();
  }
  const Result<TpmWords> words = TpmWords::parse(*socket);
  if (!words) {
    return words.error();
  }
  Result<std::string> path = path_of("--tpm", *socket);
  if (!path) {
    return path.error();
  }
  if (tpm) {
    return Error(ErrorKind::invalid_argument, "a machine has one TPM",
                 "--print with the sockets of one machine at a time");
  }
  const std::optional<TpmVersion> version = version_there(*words, blobs);
  if (!version) {
    return Error(ErrorKind::not_found, "--tpm " + text + ": the image has no such TPM's blobs",
                 "vnvram register --tpm2 or --tpm12 adds them");
  }
  tpm = Tpm{.socket = *std::move(path), .version = *version};
  return {};
}

Status MachineDevices::add_drive(Drive drive) {
  const std::string& name = drive.blob.name;
  const auto has_that_name = [&](const Drive& each) { return each.blob.name == name; };
  if (std::any_of(others.begin(), others.end(), has_that_name) ||
      (variables && has_that_name(*variables))) {
    return {}; // By a socket that was named before.
  }
  if (drive.blob.type != uefi_variables_type || drive.is_read_only) {
    others.push_back(std::move(drive));
    return {};
  }
  if (variables) {
    return Error(ErrorKind::invalid_argument,
                 "a machine has one store of UEFI variables, and here are " + variables->blob.name +
                     " and " + name,
                 "--print with the exports of one machine at a time: --nbd ADDRESS,export=NAME");
  }
  variables = std::move(drive);
  return {};
}

Status MachineDevices::add_drives(const std::string& text, const std::vector<BlobInfo>& blobs) {
  const Result<DeviceSocket> socket = DeviceSocket::parse("--nbd", text);
  if (!socket) {
    return socket.error();
  }
  const Result<NbdWords> words = NbdWords::parse(*socket);
  if (!words) {
    return words.error();
  }
  const Result<std::string> path = path_of("--nbd", *socket);
  if (!path) {
    return path.error();
  }
  std::vector<const BlobInfo*> served;
  for (const std::string& name : words->exports) {
    served.push_back(find(blobs, name));
    if (served.back() == nullptr) {
      return Error(ErrorKind::not_found,
                   fmt::format("--nbd {}: the image has no blob {}", text, name));
    }
  }
  for (const BlobInfo& blob : blobs) {
    if (words->exports.empty() && !is_a_tpms(blob)) {
      served.push_back(&blob);
    }
  }
  for (const BlobInfo* blob : served) {
    const bool is_read_only = words->read_only.contains(blob->name);
    if (Status added = add_drive({*path, *blob, is_read_only}); !added) {
      return added;
    }
  }
  return {};
}

Result<MachineDevices> MachineDevices::of(const std::vector<std::string>& tpms,
                                          const std::vector<std::string>& nbds,
                                          const std::vector<BlobInfo>& blobs) {
  MachineDevices devices;
  for (const std::string& text : tpms) {
    if (Status added = devices.add_tpm(text, blobs); !added) {
      return added.error();
    }
  }
  for (const std::string& text : nbds) {
    if (Status added = devices.add_drives(text, blobs); !added) {
      return added.error();
    }
  }
  return devices;
}

} // namespace vnvram::cli
