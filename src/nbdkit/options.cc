#include "nbdkit/options.h"

#include <charconv>
#include <cstdint>
#include <optional>

#include <fmt/core.h>

namespace vnvram::nbdkit {
namespace {

using std::chrono::microseconds;

/// A number with a unit, or of milliseconds. Nothing if it is none, or a longer one.
std::optional<microseconds> parse_time(std::string_view value, microseconds max) {
  std::uint64_t number = 0;
  const auto [end, failure] = std::from_chars(value.begin(), value.end(), number);
  const std::string_view unit(end, value.end());
  microseconds one = std::chrono::milliseconds(1);
  if (unit == "us") {
    one = microseconds(1);
  } else if (unit == "s") {
    one = std::chrono::seconds(1);
  }
  const bool known_unit = unit.empty() || unit == "us" || unit == "ms" || unit == "s";
  if (failure != std::errc() || !known_unit || number > static_cast<std::uint64_t>(max / one)) {
    return std::nullopt;
  }
  return static_cast<std::int64_t>(number) * one;
}

} // namespace

Status Options::set(std::string_view key, std::string_view value) {
  if (value.empty()) {
    return Error(ErrorKind::invalid_argument, fmt::format("{}= needs a value", key));
  }
  if (key == "image-key" || key == "key" || key == "image-format" || key == "space" ||
      key == "anchor" || key == "anchor-policy" || key == "take-over" || key == "reservation" ||
      (key == "sync" && value != "always")) {
    of_the_owner_.emplace(key);
  }
  if (key == "reconnect" || key == "seccomp") {
    of_a_session_.emplace(key);
  }
  if (key == "image") {
    if (!image.empty()) {
      return Error(ErrorKind::invalid_argument, fmt::format("image={} and image={}", image, value),
                   "name one image");
    }
    image = value;
  } else if (key == "sync") {
    return set_sync(value);
  } else if (key == "reconnect") {
    return set_reconnect(value);
  } else if (key == "seccomp") {
    return set_seccomp(value);
  } else if (key == "export") {
    exports.emplace_back(value);
  } else if (key == "readonly") {
    for (std::size_t at = 0; at < value.size();) {
      const std::size_t comma = std::min(value.find(',', at), value.size());
      read_only.emplace(value.substr(at, comma - at));
      at = comma + 1;
    }
  } else if (key == "image-key") {
    device.image_key_file = value;
  } else if (key == "key") {
    return add_key(value);
  } else if (key == "take-over") {
    return set_take_over(value);
  } else if (key == "reservation") {
    if (value != "yes" && value != "no") {
      return Error(ErrorKind::invalid_argument, fmt::format("reservation={}: not known", value),
                   "yes or no");
    }
    reserve = value == "yes";
  } else if (key == "space") {
    const Result<SpacePolicy> policy = parse_space_policy(value);
    if (!policy) {
      return policy.error();
    }
    space = *policy;
  } else if (key == "anchor") {
    anchor = value;
  } else if (key == "anchor-policy") {
    const Result<AnchorPolicy> policy = parse_anchor_policy(value);
    if (!policy) {
      return policy.error();
    }
    anchor_policy = *policy;
  } else if (key == "image-format") {
    device.image_format = value;
  } else {
    return Error(ErrorKind::invalid_argument, fmt::format("unknown parameter '{}'", key),
                 "nbdkit vnvram --help lists them");
  }
  return {};
}

Status Options::add_key(std::string_view text) {
  Result<KeySource> source = KeySource::parse(text);
  if (!source) { // Without the text, which may be the key itself.
    return Error(source.error().kind(), "key=: " + source.error().cause(), source.error().remedy());
  }
  keys.add(*std::move(source));
  return {};
}

Status Options::set_take_over(std::string_view value) {
  if (value != "fence" && value != "owner-is-dead") {
    return Error(ErrorKind::invalid_argument, fmt::format("take-over={}: not known", value),
                 "'fence' shuts out whoever has the image, where its storage can; 'owner-is-dead' "
                 "is your word where it cannot");
  }
  take_over = value == "fence" ? OwnerWord::nothing : OwnerWord::is_dead;
  return {};
}

Status Options::check_for_owner() const {
  if (of_the_owner_.empty()) {
    return {};
  }
  return Error(ErrorKind::invalid_argument,
               fmt::format("{}= is for an image that nbdkit opens itself", *of_the_owner_.begin()),
               fmt::format("the owner at {} decides about that", image));
}

Status Options::check_for_own_image() const {
  if (anchor_policy && anchor.empty()) {
    return Error(ErrorKind::invalid_argument, "anchor-policy= without anchor=");
  }
  if (of_a_session_.empty()) {
    return {};
  }
  return Error(ErrorKind::invalid_argument,
               fmt::format("{}= is for an image that another process owns (unix:PATH)",
                           *of_a_session_.begin()));
}

Status Options::set_sync(std::string_view value) {
  const std::optional<microseconds> time =
      value == "always" ? microseconds(0) : parse_time(value, sync_max);
  if (!time) {
    return Error(ErrorKind::invalid_argument, fmt::format("sync={} is not a time", value),
                 "write 'always', or a time up to 60s, e.g. 10ms, 500us or 1s");
  }
  sync = *time;
  return {};
}

Status Options::set_reconnect(std::string_view value) {
  const auto time = parse_time(value, reconnect_max);
  if (!time) {
    return Error(ErrorKind::invalid_argument, fmt::format("reconnect={} is not a time", value),
                 "write a time up to 86400s, e.g. 30s or 500ms; 0: do not wait");
  }
  reconnect = *time;
  return {};
}

Status Options::set_seccomp(std::string_view value) {
  if (value == "on") {
    seccomp = Seccomp::on;
  } else if (value == "log") {
    seccomp = Seccomp::log;
  } else if (value == "off") {
    seccomp.reset();
  } else {
    return Error(ErrorKind::invalid_argument, fmt::format("seccomp={}", value),
                 "write on, log or off");
  }
  return {};
}

} // namespace vnvram::nbdkit
