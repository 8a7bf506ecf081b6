#include "swtpm/state_listing.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include <fmt/core.h>

#include "convert/swtpm_folder.h"
#include "convert/swtpm_linear_file.h"
#include "vnvram/open_device.h"
#include "vnvram/store.h"

namespace vnvram {
namespace {

/// In the order of TpmState; nothing: there is none.
using Sizes = std::array<std::optional<std::uint64_t>, tpm_state_count>;

constexpr std::array<std::string_view, tpm_state_count> swtpm_names = {"permall", "volatilestate",
                                                                       "savestate"};

std::optional<std::uint64_t> size_of(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0
             ? std::optional(static_cast<std::uint64_t>(status.st_size))
             : std::nullopt;
}

bool is_no_image(const Error& error) {
  return error.kind() == ErrorKind::foreign || error.kind() == ErrorKind::blank;
}

// As swtpm's places are read when a TPM is started.
DeviceOptions as_raw() {
  return {.image_format = "raw"};
}

/// What an image has. Errors: foreign, blank (it is none), others.
Result<Sizes> sizes_in_image(const std::string& location, TpmVersion version, const KeyRing& keys,
                             const DeviceOptions& options) {
  Result<std::unique_ptr<BlockDevice>> device = open_device(location, Access::read_only, options);
  if (!device.ok()) {
    return device.error();
  }
  Sizes sizes;
  const auto store = Store::open(*std::move(device), {.access = Access::read_only, .keys = keys});
  if (!store.ok() && (store.error().kind() == ErrorKind::key_needed ||
                      store.error().kind() == ErrorKind::wrong_key)) {
    sizes.front() = size_of(location).value_or(0);
    return sizes;
  }
  if (!store.ok()) {
    return store.error();
  }
  for (std::size_t state = 0; state < tpm_state_count; ++state) {
    const auto blob =
        (*store)->blob(std::string(tpm_blob_name(version, static_cast<TpmState>(state))));
    if (blob.ok() && blob->size_bytes > 0) {
      sizes.at(state) = blob->size_bytes;
    }
  }
  return sizes;
}

Result<Sizes> sizes_in_folder(const std::string& folder, TpmVersion version, const KeyRing& keys) {
  struct stat status {};
  if (::stat(folder.c_str(), &status) != 0 || !S_ISDIR(status.st_mode)) {
    return Error(ErrorKind::absent, folder + ": there is no such folder");
  }
  const auto path_of = [&](std::size_t state) {
    return folder + "/" + SwtpmFolder::file_name(version, static_cast<TpmState>(state));
  };
  if (size_of(path_of(0)).value_or(0) > 0) {
    Result<Sizes> sizes = sizes_in_image(path_of(0), version, keys, as_raw());
    if (sizes.ok() || !is_no_image(sizes.error())) {
      return sizes;
    }
  }
  Sizes sizes;
  for (std::size_t state = 0; state < tpm_state_count; ++state) {
    sizes.at(state) = size_of(path_of(state));
  }
  return sizes;
}

Result<Sizes> sizes_in_file(const std::string& path, TpmVersion version, const KeyRing& keys) {
  if (!size_of(path)) {
    return Sizes{};
  }
  Result<Sizes> sizes = sizes_in_image(path, version, keys, as_raw());
  if (sizes.ok() || !is_no_image(sizes.error())) {
    return sizes;
  }
  const bool is_blank = sizes.error().kind() == ErrorKind::blank;
  Result<std::unique_ptr<BlockDevice>> device = open_device(path, Access::read_only, as_raw());
  const Result<std::uint64_t> size = device.ok() ? (*device)->size_bytes() : device.error();
  if (!size.ok()) {
    return size.error();
  }
  std::vector<std::byte> beginning(std::min<std::uint64_t>(*size, block_size_bytes));
  if (const Status read = (*device)->read(0, beginning); !read.ok()) {
    return read.error();
  }
  const auto sections = SwtpmLinearFile::parse(beginning, *size);
  if (!sections.ok()) {
    return is_blank ? Result<Sizes>(Sizes{}) : sections.error();
  }
  Sizes found;
  for (std::size_t state = 0; state < tpm_state_count; ++state) {
    if (const auto& section = sections->at(state)) {
      found.at(state) = section->length_bytes;
    }
  }
  return found;
}

std::string json_of(const Sizes& sizes) {
  std::string states;
  for (std::size_t state = 0; state < tpm_state_count; ++state) {
    if (sizes.at(state)) {
      states += fmt::format("{}{{\"name\": \"{}\", \"size\": {}}}", states.empty() ? " " : ", ",
                            swtpm_names.at(state), *sizes.at(state));
    }
  }
  return fmt::format("{{ \"type\": \"swtpm\", \"states\": [{} ] }}", states);
}

} // namespace

Result<std::string> list_states(const TpmStateOption& place, TpmVersion version,
                                const KeyRing& keys) {
  Result<Sizes> sizes = Sizes{};
  switch (place.kind) {
  case TpmStateOption::Kind::folder: sizes = sizes_in_folder(place.path, version, keys); break;
  case TpmStateOption::Kind::file: sizes = sizes_in_file(place.path, version, keys); break;
  case TpmStateOption::Kind::location: sizes = sizes_in_image(place.path, version, keys, {}); break;
  }
  return sizes.ok() ? Result<std::string>(json_of(*sizes)) : sizes.error();
}

} // namespace vnvram
