#include "device/rbd_location.h"

#include <algorithm>
#include <array>
#include <optional>

#include <fmt/core.h>

namespace vnvram {
namespace {

constexpr std::string_view beginning = "rbd:";
constexpr std::string_view form =
    "rbd:POOL/IMAGE, rbd:POOL/NAMESPACE/IMAGE, with @SNAPSHOT and :OPTION=VALUE behind it";

// What keeps an image whole depends on these, so they are ours (see RbdCluster).
constexpr std::array<std::string_view, 10> beginnings_of_ours = {
    "rbd_cache",           "rbd_persistent_cache", "rbd_plugins",
    "rbd_blocklist",       "rbd_blacklist",        "rbd_read_from_replica",
    "rados_replica_read",  "rados_mon_op_timeout", "rados_osd_op_timeout",
    "client_mount_timeout"};

// Of the options a message says no more than the name of one: a key may be among them.
Error wrong(std::string_view names, std::string_view why, std::string_view remedy = form) {
  return {ErrorKind::invalid_argument, fmt::format("{}{}: {}", beginning, names, why),
          std::string(remedy)};
}

/// A part of the text, with its escapes still in it, up to an unescaped separator.
std::string_view take_until(std::string_view& rest, char separator) {
  std::size_t end = 0;
  while (end < rest.size() && rest[end] != separator) {
    end += rest[end] == '\\' ? 2U : 1U;
  }
  end = std::min(end, rest.size());
  const std::string_view part = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return part;
}

std::string unescaped(std::string_view part) {
  std::string plain;
  for (std::size_t at = 0; at < part.size(); ++at) {
    at += part[at] == '\\' && at + 1 < part.size() ? 1U : 0U;
    plain += part[at];
  }
  return plain;
}

bool is_printable(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](unsigned char character) {
    return character < 0x20 || character == 0x7f;
  });
}

/// Nothing if it can be one. librbd takes neither of these two in a name.
std::optional<std::string> trouble_of_name(std::string_view what, const std::string& name) {
  if (name.empty()) {
    return fmt::format("its {} has no name", what);
  }
  if (name.find_first_of("/@") != std::string::npos) {
    return fmt::format("the name of its {} has a / or @ in it", what);
  }
  return std::nullopt;
}

// Ceph takes spaces and dashes for underscores.
std::string setting_name(std::string_view written) {
  std::string name(written);
  std::replace_if(
      name.begin(), name.end(), [](char character) { return character == ' ' || character == '-'; },
      '_');
  return name;
}

Status add_option(RbdLocation& location, std::string_view option) {
  const std::size_t equals = option.find('=');
  if (equals == std::string_view::npos || equals == 0) {
    return wrong(location.spec(), "one of its options is no OPTION=VALUE");
  }
  const std::string name = setting_name(unescaped(option.substr(0, equals)));
  std::string value = unescaped(option.substr(equals + 1));
  if (name == "id") {
    location.id = std::move(value);
    return {};
  }
  if (name == "conf") {
    location.conf = std::move(value);
    return {};
  }
  if (name == "key") {
    return wrong(location.spec(), "a key in a location is there for everybody to see",
                 "put it into a file: keyring=FILE, or keyfile=FILE");
  }
  const bool is_ours = std::any_of(beginnings_of_ours.begin(), beginnings_of_ours.end(),
                                   [&](std::string_view ours) { return name.starts_with(ours); });
  if (is_ours) {
    return wrong(location.spec(), fmt::format("{} is set so that the image stays whole", name),
                 "leave this option out");
  }
  location.settings.emplace_back(name, std::move(value));
  return {};
}

Status take_names(RbdLocation& location, const std::string_view all_names) {
  std::string_view names = all_names;
  location.pool = unescaped(take_until(names, '/'));
  const std::string_view before_snapshot = take_until(names, '@');
  location.snapshot = unescaped(names);
  std::string_view rest = before_snapshot;
  const std::string_view first = take_until(rest, '/');
  const bool has_namespace = first.size() != before_snapshot.size();
  location.name_space = has_namespace ? unescaped(first) : std::string();
  location.image = unescaped(has_namespace ? rest : first);
  std::optional<std::string> trouble = trouble_of_name("pool", location.pool);
  if (!trouble && has_namespace) {
    trouble = trouble_of_name("namespace", location.name_space);
  }
  if (!trouble) {
    trouble = trouble_of_name("image", location.image);
  }
  if (!trouble && !location.snapshot.empty()) {
    trouble = trouble_of_name("snapshot", location.snapshot);
  }
  return trouble ? wrong(all_names, *trouble) : Status();
}

} // namespace

Result<RbdLocation> RbdLocation::parse(std::string_view text) {
  RbdLocation location;
  location.text = text;
  if (!is_printable(text)) {
    return wrong("", "there are control characters in it");
  }
  if (!text.starts_with(beginning)) {
    return wrong("", "the beginning of a location that names an RBD image is missing");
  }
  std::string_view rest = text.substr(beginning.size());
  const std::string_view names = take_until(rest, ':');
  Status taken = take_names(location, names);
  if (taken && names.ends_with('@')) {
    taken = wrong(names, "its snapshot has no name");
  }
  while (taken && !rest.empty()) {
    taken = add_option(location, take_until(rest, ':'));
  }
  return taken ? Result<RbdLocation>(std::move(location)) : taken.error();
}

std::string rbd_location_name(std::string_view text) {
  std::string name;
  while (!text.empty()) {
    const std::string_view part = take_until(text, ':');
    const std::string_view written = part.substr(0, part.find('='));
    const bool is_key = written.size() < part.size() && setting_name(unescaped(written)) == "key";
    name += fmt::format("{}{}{}", is_key ? written : part, is_key ? "=..." : "",
                        text.empty() ? "" : ":");
  }
  return name;
}

// A keyring may be several: Ceph takes commas, semicolons and spaces between them.
Status RbdLocation::check_names_of_files() const {
  const auto is_relative = [](std::string_view files) {
    for (bool begins = true; const char character : files) {
      const bool separates = character == ',' || character == ';' || character == ' ';
      if (begins && !separates && character != '/') {
        return true;
      }
      begins = separates;
    }
    return false;
  };
  std::string_view found = is_relative(conf) ? std::string_view("conf") : std::string_view();
  for (const auto& [name, value] : settings) {
    if ((name == "keyring" || name == "keyfile") && is_relative(value)) {
      found = name;
    }
  }
  return found.empty()
             ? Status()
             : wrong(spec(),
                     fmt::format("the file of {}= is looked for again in another folder", found),
                     "name it from the root on: /...");
}

std::string RbdLocation::spec() const {
  return fmt::format("{}/{}{}{}{}{}", pool, name_space, name_space.empty() ? "" : "/", image,
                     snapshot.empty() ? "" : "@", snapshot);
}

} // namespace vnvram
