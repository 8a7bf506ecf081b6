#include "swtpm/option_list.h"

#include <grp.h>
#include <pwd.h>
#include <strings.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>

#include <fmt/core.h>

namespace vnvram {
namespace {

constexpr long mode_max = 0777;
constexpr std::size_t entry_max_bytes = 16384;

// strtol() and not from_chars(): a sign and spaces in front are taken, as swtpm takes them.
std::optional<long> read_number(const std::string& text, int base) {
  char* end = nullptr;
  errno = 0;
  const long number = std::strtol(text.c_str(), &end, base);
  if (end == text.c_str() || *end != '\0') {
    return std::nullopt;
  }
  return errno == ERANGE ? LONG_MAX : number;
}

Result<long> read_bounded(const std::string& text, long min, long max) {
  const std::optional<long> number = read_number(text, 10);
  if (!number) {
    return option_error(fmt::format("invalid number '{}'", text));
  }
  if (*number < min || *number > max) {
    return option_error(fmt::format("number {} outside valid range", text),
                        fmt::format("write one from {} to {}", min, max));
  }
  return *number;
}

Result<long> read_mode(const std::string& text) {
  const std::optional<long> mode = read_number(text, 8);
  if (!mode) {
    return option_error(fmt::format("invalid mode type '{}'", text), "write an octal number");
  }
  if (*mode < 0 || *mode > mode_max) {
    return option_error(fmt::format("mode {} is invalid", text),
                        "write an octal number up to 0777");
  }
  return *mode;
}

std::optional<long> find_user_number(const std::string& name) {
  passwd entry{};
  passwd* found = nullptr;
  std::vector<char> text(entry_max_bytes);
  ::getpwnam_r(name.c_str(), &entry, text.data(), text.size(), &found);
  return found == nullptr ? std::nullopt : std::optional<long>(entry.pw_uid);
}

std::optional<long> find_group_number(const std::string& name) {
  group entry{};
  group* found = nullptr;
  std::vector<char> text(entry_max_bytes);
  ::getgrnam_r(name.c_str(), &entry, text.data(), text.size(), &found);
  return found == nullptr ? std::nullopt : std::optional<long>(entry.gr_gid);
}

Result<long> read_owner(OptionKind kind, const std::string& text) {
  const bool is_user = kind == OptionKind::user;
  if (const std::optional<long> number = read_number(text, 10)) {
    // The highest number means "leave it as it is" to chown().
    if (*number < 0 || *number >= static_cast<long>(UINT_MAX)) {
      return option_error(fmt::format("{} {} outside valid range", is_user ? "uid" : "gid", text));
    }
    return *number;
  }
  const std::optional<long> found = is_user ? find_user_number(text) : find_group_number(text);
  if (!found) {
    return option_error(fmt::format("{} '{}' does not exist.", is_user ? "User" : "Group", text));
  }
  return *found;
}

std::string names_of(std::span<const OptionKey> keys) {
  std::string names;
  for (const OptionKey& key : keys) {
    names += (names.empty() ? "" : ", ") + std::string(key.name);
  }
  return names;
}

const OptionKey* find_key(std::span<const OptionKey> keys, std::string_view token) {
  const std::size_t equals = token.find('=');
  const std::string_view name = token.substr(0, equals);
  if (equals != token.npos && equals + 1 == token.size()) {
    return nullptr;
  }
  for (const OptionKey& key : keys) {
    if (key.name == name) {
      return &key;
    }
  }
  return nullptr;
}

} // namespace

Error option_error(std::string cause, std::string remedy) {
  return {ErrorKind::invalid_argument, std::move(cause), std::move(remedy)};
}

Result<OptionList::Value> OptionList::read_value(OptionKind kind, const std::string& text) {
  Result<long> number = 0L;
  switch (kind) {
  case OptionKind::text: return Value(text);
  case OptionKind::flag: return Value(::strcasecmp(text.c_str(), "true") == 0 || text == "1");
  case OptionKind::integer: number = read_bounded(text, INT_MIN, INT_MAX); break;
  case OptionKind::natural: number = read_bounded(text, 0, UINT_MAX); break;
  case OptionKind::mode: number = read_mode(text); break;
  case OptionKind::user:
  case OptionKind::group: number = read_owner(kind, text); break;
  }
  return number.ok() ? Result<Value>(Value(*number)) : number.error();
}

Status OptionList::add(std::string_view token, std::span<const OptionKey> keys) {
  const OptionKey* key = find_key(keys, token);
  if (key == nullptr) {
    return option_error(fmt::format("Unknown option '{}'", token), "it takes " + names_of(keys));
  }
  const std::size_t equals = token.find('=');
  const std::string text(equals == token.npos ? "true" : token.substr(equals + 1));
  Result<Value> value = read_value(key->kind, text);
  if (!value.ok()) {
    return value.error();
  }
  values_.emplace_back(key->name, *std::move(value));
  return {};
}

Result<OptionList> OptionList::parse(std::string_view subject, std::string_view list,
                                     std::span<const OptionKey> keys) {
  OptionList options;
  while (!list.empty()) {
    const std::string_view token = list.substr(0, list.find(','));
    list.remove_prefix(std::min(token.size() + 1, list.size()));
    if (token.empty()) {
      continue;
    }
    if (const Status added = options.add(token, keys); !added.ok()) {
      const Error& error = added.error();
      return option_error(fmt::format("Error parsing {} options: {}", subject, error.cause()),
                          error.remedy());
    }
  }
  return options;
}

const OptionList::Value* OptionList::find(std::string_view key) const {
  for (const auto& [name, value] : values_) {
    if (name == key) {
      return &value;
    }
  }
  return nullptr;
}

std::optional<std::string> OptionList::text(std::string_view key) const {
  const auto* value = std::get_if<std::string>(find(key));
  return value == nullptr ? std::nullopt : std::optional(*value);
}

std::optional<long> OptionList::number(std::string_view key) const {
  const auto* value = std::get_if<long>(find(key));
  return value == nullptr ? std::nullopt : std::optional(*value);
}

bool OptionList::flag(std::string_view key, bool otherwise) const {
  const auto* value = std::get_if<bool>(find(key));
  return value == nullptr ? otherwise : *value;
}

std::optional<int> OptionList::descriptor(std::string_view key) const {
  const std::optional<long> found = number(key);
  return found && *found >= 0 ? std::optional(static_cast<int>(*found)) : std::nullopt;
}

} // namespace vnvram
