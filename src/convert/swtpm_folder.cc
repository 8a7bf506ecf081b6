#include "convert/swtpm_folder.h"

#include <array>
#include <cerrno>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <vector>

#include <fmt/core.h>
#include <sys/stat.h>

#include "convert/new_entry.h"
#include "convert/stored_bytes.h"
#include "convert/swtpm_lock.h"

namespace vnvram {
namespace {

constexpr std::array versions = {TpmVersion::tpm2_0, TpmVersion::tpm1_2};
// The permanent one last.
constexpr std::array states_in_order = {TpmState::volatile_state, TpmState::save_state,
                                        TpmState::permanent};

} // namespace

std::string SwtpmFolder::file_name(TpmVersion version, TpmState state) {
  constexpr std::array<std::string_view, tpm_state_count> names = {"permall", "volatilestate",
                                                                   "savestate"};
  return fmt::format("tpm{}-00.{}", version == TpmVersion::tpm2_0 ? "2" : "",
                     names.at(static_cast<std::size_t>(state)));
}

bool SwtpmFolder::has(TpmVersion version, TpmState state) const {
  struct stat status {};
  return ::lstat((path_ + "/" + file_name(version, state)).c_str(), &status) == 0;
}

Result<TpmVersion> SwtpmFolder::version(std::optional<TpmVersion> wanted) const {
  const bool has_tpm2 = has(TpmVersion::tpm2_0, TpmState::permanent);
  const bool has_tpm12 = has(TpmVersion::tpm1_2, TpmState::permanent);
  if (has_tpm2 && has_tpm12 && !wanted) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("{}: there are a TPM 2.0 and a TPM 1.2", path_), "say which of them");
  }
  if (wanted ? (*wanted == TpmVersion::tpm2_0 ? has_tpm2 : has_tpm12) : has_tpm2 || has_tpm12) {
    return wanted.value_or(has_tpm2 ? TpmVersion::tpm2_0 : TpmVersion::tpm1_2);
  }
  return Error(ErrorKind::absent,
               fmt::format("{}: there is no {}", path_,
                           wanted ? file_name(*wanted, TpmState::permanent)
                                  : "tpm2-00.permall, nor tpm-00.permall"),
               "name the folder that swtpm was given, or the file of its back end file://");
}

Result<SwtpmStateFiles> SwtpmFolder::read(TpmVersion version) const {
  const std::optional<Folder> folder = Folder::open(path_);
  return folder ? read(*folder, version)
                : Error(ErrorKind::io, fmt::format("{}: cannot be opened: {}", path_,
                                                   std::generic_category().message(errno)));
}

Result<SwtpmStateFiles> SwtpmFolder::read(const Folder& folder, TpmVersion version) {
  SwtpmStateFiles states;
  for (std::size_t index = 0; index < tpm_state_count; ++index) {
    const std::string name = file_name(version, static_cast<TpmState>(index));
    struct stat status {};
    if (!folder.look_at(name, status)) {
      continue;
    }
    auto bytes = read_stored_file(folder, name, SwtpmStateFile::size_max_bytes);
    if (!bytes) {
      return bytes.error();
    }
    states.at(index) = *std::move(bytes);
  }
  return states;
}

Status SwtpmFolder::check_free() const {
  for (const TpmVersion version : versions) {
    for (const TpmState state : states_in_order) {
      if (has(version, state)) {
        return Error(
            ErrorKind::exists,
            fmt::format("{}: there is a TPM's state already: {}", path_, file_name(version, state)),
            "name another folder");
      }
    }
  }
  const Result<SwtpmLock> lock = SwtpmLock::take(lock_path());
  return lock ? Status() : lock.error();
}

Status SwtpmFolder::write(TpmVersion version, const SwtpmStateFiles& states) const {
  std::vector<NewFileContent> files;
  for (const TpmState state : states_in_order) {
    if (const auto& bytes = states.at(static_cast<std::size_t>(state))) {
      files.push_back({.name = file_name(version, state), .bytes = *bytes});
    }
  }
  std::error_code unknown;
  if (!std::filesystem::is_directory(path_, unknown)) {
    return write_new_folder(path_, files);
  }
  const Result<SwtpmLock> lock = SwtpmLock::take(lock_path());
  if (!lock) {
    return lock.error();
  }
  const Status is_free = check_free();
  return is_free ? write_new_files(path_, files) : is_free;
}

} // namespace vnvram
