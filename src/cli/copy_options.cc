#include "cli/copy_options.h"

#include <filesystem>
#include <system_error>

#include <fmt/core.h>

#include "base/size_text.h"
#include "cli/owner_socket.h"
#include "device/location.h"

namespace vnvram::cli {
namespace {

Result<std::uint64_t> size_or_nothing(const std::string& text) {
  return text.empty() ? Result<std::uint64_t>(0) : parse_size(text);
}

bool is_same_place(const std::string& one, const std::string& other) {
  std::error_code absent; // Then they are not the same.
  return location_name(one) == location_name(other) ||
         std::filesystem::equivalent(one, other, absent);
}

} // namespace

void CopyOptions::add_to(CLI::App& app, const std::string& what, const std::string& which_bytes) {
  app.add_option(word_, place_,
                 what + ": a file, a VM image by its name's ending, a block device, an NBD export "
                        "or an RBD image")
      ->required();
  app.add_option("--size", size_, "the size of " + word_ + " (K, M, G: 1024-fold)")->type_name("N");
  app.add_option("--out-format", device_.image_format,
                 "the format of " + word_ + ", as --format of create")
      ->type_name("FORMAT");
  app.add_option("--rate-bytes", rate_,
                 "bytes that are read in a second" + which_bytes +
                     " (K, M, G: 1024-fold); no limit unless given")
      ->type_name("N");
  app.add_flag("--force", force_, "write over what " + word_ + " holds");
  app.add_flag("--json", json_, "print JSON");
}

void CopyOptions::add_key_to(CLI::App& app) {
  app.add_option("--out-key", device_.image_key_file,
                 "the key of " + word_ + ", if it is an encrypted VM image")
      ->type_name("FILE");
}

std::string CopyOptions::place_name() const {
  return location_name(place_);
}

Error CopyOptions::are_the_same() const {
  return {ErrorKind::invalid_argument,
          fmt::format("{}: IMAGE and {} are the same", place_name(), word_), "name another place"};
}

Status CopyOptions::check_places(const std::string& image) const {
  if (is_same_place(image, place_)) {
    return are_the_same();
  }
  return is_owner_socket(place_)
             ? Error(ErrorKind::invalid_argument,
                     place_name() + ": the socket of an image's owner is no place for one",
                     "name a file, a block device or an export")
             : Status();
}

// What it calls its image is a name in its own folder.
Status CopyOptions::check_place(const OwnerStatus& owner) const {
  const bool is_relative = scheme_of(owner.location) == LocationScheme::path &&
                           std::filesystem::path(owner.location).is_relative();
  const std::string there =
      is_relative ? fmt::format("/proc/{}/cwd/{}", owner.pid, owner.location) : owner.location;
  return is_same_place(there, place_) ? Status(are_the_same()) : Status();
}

// A file gets its name when it is whole, and so does a new RBD image; all else is written to.
std::string CopyOptions::left_if_ended() const {
  const LocationScheme scheme = scheme_of(place_);
  std::error_code failed;
  const auto there = std::filesystem::status(place_, failed);
  if (scheme == LocationScheme::path && !std::filesystem::exists(there)) {
    return fmt::format("{} is not made, and what was begun of it is removed", place_name());
  }
  if (scheme == LocationScheme::path && !std::filesystem::is_block_file(there)) {
    return fmt::format("{} is as it was, and what was made to replace it is removed", place_name());
  }
  return scheme == LocationScheme::rbd
             ? fmt::format("{} is not made, or if it was there it is no image now, or as it was",
                           place_name())
             : fmt::format("{} is no image now, or as it was", place_name());
}

Result<BlockCopyTarget> CopyOptions::target() const {
  const Result<std::uint64_t> size_bytes = size_or_nothing(size_);
  return size_bytes
             ? Result<BlockCopyTarget>(
                   {.path = place_, .size_bytes = *size_bytes, .device = device_, .force = force_})
             : size_bytes.error();
}

Result<std::uint64_t> CopyOptions::rate_bytes() const {
  return size_or_nothing(rate_);
}

} // namespace vnvram::cli
