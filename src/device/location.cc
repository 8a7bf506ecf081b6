#include "device/location.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <system_error>

#include "device/rbd_location.h"

namespace vnvram {
namespace {

struct Row {
  std::string_view beginning;
  LocationScheme scheme;
};
constexpr std::array<Row, 7> schemes = {{
    {"nbd://", LocationScheme::nbd},
    {"nbds://", LocationScheme::nbd},
    {"nbd+unix://", LocationScheme::nbd},
    {"nbds+unix://", LocationScheme::nbd},
    {"rbd:", LocationScheme::rbd},
    {"unix:", LocationScheme::owner},
    {"fd:", LocationScheme::descriptor},
}};
constexpr std::string_view descriptor_beginning = "fd:";

bool is_socket(std::string_view location) {
  const std::optional<int> descriptor = descriptor_of(location);
  struct stat status = {};
  return descriptor && ::fstat(*descriptor, &status) == 0 && S_ISSOCK(status.st_mode);
}

} // namespace

LocationScheme scheme_of(std::string_view location) {
  const auto* row = std::find_if(schemes.begin(), schemes.end(), [&](const Row& candidate) {
    return location.starts_with(candidate.beginning);
  });
  const LocationScheme scheme = row == schemes.end() ? LocationScheme::path : row->scheme;
  return scheme == LocationScheme::descriptor && is_socket(location) ? LocationScheme::owner
                                                                     : scheme;
}

std::optional<int> descriptor_of(std::string_view location) {
  if (!location.starts_with(descriptor_beginning)) {
    return std::nullopt;
  }
  const std::string_view digits = location.substr(descriptor_beginning.size());
  int number = -1;
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  const bool is_number = parsed.ec == std::errc() && parsed.ptr == digits.data() + digits.size();
  return is_number && number > 2 ? std::optional(number) : std::nullopt;
}

std::string location_name(const std::string& location) {
  const std::optional<int> descriptor = descriptor_of(location);
  if (!descriptor) {
    return scheme_of(location) == LocationScheme::rbd ? rbd_location_name(location) : location;
  }
  std::error_code error;
  const std::filesystem::path name =
      std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(*descriptor), error);
  return error || !name.is_absolute() ? location : name.string();
}

std::string location_name_elsewhere(const std::string& location) {
  const std::string name = location_name(location);
  std::error_code failed;
  const auto place = scheme_of(name) == LocationScheme::path
                         ? std::filesystem::absolute(name, failed)
                         : std::filesystem::path(name);
  return failed ? name : place.string();
}

bool may_be_block_device(const std::string& location) {
  if (is_served(location)) {
    return false;
  }
  const std::optional<int> descriptor = descriptor_of(location);
  struct stat status = {};
  const int failed = descriptor ? ::fstat(*descriptor, &status) : ::stat(location.c_str(), &status);
  return failed != 0 || S_ISBLK(status.st_mode);
}

bool is_served(std::string_view location) {
  switch (scheme_of(location)) {
  case LocationScheme::path:
  case LocationScheme::descriptor: return false;
  case LocationScheme::nbd:
  case LocationScheme::rbd:
  case LocationScheme::owner: return true;
  }
  return false;
}

bool needs_files(std::string_view location) {
  return !is_served(location) || has_own_threads(location);
}

bool has_own_threads(std::string_view location) {
  return scheme_of(location) == LocationScheme::rbd;
}

} // namespace vnvram
