#include "convert/swtpm_store.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <filesystem>

#include <fmt/core.h>

#include "base/big_endian.h"
#include "convert/swtpm_folder.h"
#include "convert/swtpm_linear_place.h"
#include "convert/swtpm_lock.h"

namespace vnvram {
namespace {

/// Behind the version of libtpms' format, of a TPM 2.0's permanent state.
constexpr std::size_t tpm2_magic_place = 2;
constexpr std::uint32_t tpm2_magic = 0xab364723;

constexpr std::array<std::string_view, tpm_state_count> state_names = {
    "the permanent state", "the volatile state", "the save-state"};

Result<SwtpmStore> unwrap_all(const SwtpmStateFiles& files, const SwtpmKey* key,
                              const std::string& path) {
  SwtpmStore store;
  store.states.resize(files.size());
  store.was_encrypted = key != nullptr;
  for (std::size_t index = 0; index < files.size(); ++index) {
    if (!files.at(index)) {
      continue;
    }
    Result<SecretBytes> state = SwtpmStateFile::unwrap(*files.at(index), key);
    if (!state) {
      return Error(state.error().kind(),
                   fmt::format("{}: {}: {}", path, state_names.at(index), state.error().cause()),
                   state.error().remedy());
    }
    store.states.at(index) = state->release();
  }
  return store;
}

Result<SwtpmStore> read_folder(const std::string& path, const SwtpmKey* key,
                               std::optional<TpmVersion> wanted) {
  const SwtpmFolder folder(path);
  const Result<SwtpmLock> lock = SwtpmLock::take(folder.lock_path());
  if (!lock) {
    return lock.error();
  }
  const Result<TpmVersion> version = folder.version(wanted);
  if (!version) {
    return version.error();
  }
  const Result<SwtpmStateFiles> files = folder.read(*version);
  if (!files) {
    return files.error();
  }
  if (const Status away = lock->check(); !away) {
    return away.error();
  }
  Result<SwtpmStore> store = unwrap_all(*files, key, path);
  if (store) {
    store->version = *version;
  }
  return store;
}

bool is_tpm2(const std::vector<std::byte>& permanent) {
  return permanent.size() >= tpm2_magic_place + sizeof(tpm2_magic) &&
         load_big_endian<std::uint32_t>(permanent, tpm2_magic_place) == tpm2_magic;
}

// The file does not say of which version its TPM is.
Result<SwtpmStore> read_linear(const std::string& path, const SwtpmKey* key,
                               std::optional<TpmVersion> wanted) {
  const Result<SwtpmStateFiles> files = SwtpmLinearPlace(path).read();
  if (!files) {
    return files.error().kind() == ErrorKind::foreign
               ? Error(ErrorKind::foreign, files.error().cause(),
                       "of one file in a folder of swtpm's, name the folder")
               : files.error();
  }
  if (!files->front()) {
    return Error(ErrorKind::absent, fmt::format("{}: there is no permanent state in it", path));
  }
  Result<SwtpmStore> store = unwrap_all(*files, key, path);
  if (store) {
    store->version =
        wanted.value_or(is_tpm2(store->states.front()) ? TpmVersion::tpm2_0 : TpmVersion::tpm1_2);
  }
  return store;
}

} // namespace

Result<SwtpmStore> read_swtpm_store(const std::string& path, const SwtpmKey* key,
                                    std::optional<TpmVersion> wanted) {
  std::error_code unknown;
  return std::filesystem::is_directory(path, unknown) ? read_folder(path, key, wanted)
                                                      : read_linear(path, key, wanted);
}

Status check_swtpm_place(const std::string& path, SwtpmBackEnd back_end) {
  std::error_code unknown;
  const bool is_folder =
      back_end == SwtpmBackEnd::folder && std::filesystem::is_directory(path, unknown);
  return is_folder ? SwtpmFolder(path).check_free() : SwtpmLinearPlace(path).check_free();
}

Result<SwtpmStateFiles> wrap_swtpm_states(const SwtpmStore& store, const SwtpmKey* key) {
  SwtpmStateFiles files;
  for (std::size_t index = 0; index < files.size(); ++index) {
    const std::vector<std::byte>& state = store.states.at(index);
    if (state.empty()) {
      continue;
    }
    auto wrapped = SwtpmStateFile::wrap(state, key);
    if (!wrapped) {
      return wrapped.error();
    }
    const Result<SecretBytes> again = SwtpmStateFile::unwrap(*wrapped, key);
    if (!again || !std::ranges::equal(again->get(), state)) {
      return again ? Error(ErrorKind::corrupt, "what was made for swtpm is not what was given")
                   : again.error();
    }
    files.at(index) = *std::move(wrapped);
  }
  return files;
}

Status write_swtpm_store(const std::string& path, SwtpmBackEnd back_end, const SwtpmStore& store,
                         const SwtpmKey* key) {
  const Result<SwtpmStateFiles> files = wrap_swtpm_states(store, key);
  if (!files) {
    return files.error();
  }
  return back_end == SwtpmBackEnd::folder ? SwtpmFolder(path).write(store.version, *files)
                                          : SwtpmLinearPlace(path).write(*files);
}

} // namespace vnvram
