#include "tpm/options.h"

#include <getopt.h>
#include <grp.h>
#include <sys/types.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/operator_text.h"
#include "base/size_text.h"
#include "tpm/option_conflicts.h"
#include "tpm/usage_text.h"
#include "vnvram/version.h"

namespace vnvram {
namespace {

constexpr unsigned mode_bits = 0777;

enum class Option {
  control = 1,
  image_key,
  key,
  image_name,
  space,
  grow,
  anchor,
  anchor_policy,
  server,
  admin,
  detached,
  incoming,
  shared,
  take_over,
  owner_is_dead,
  reservation,
  no_seal,
  no_auto_shutdown,
  startup,
  tpm2,
  tpm12,
  blobs,
  user,
  mode,
  group,
  pid,
  seccomp,
  log_level,
  successors,
  predecessor,
  help,
  version,
};

constexpr option long_option(const char* name, int argument, Option value) {
  return {name, argument, nullptr, static_cast<int>(value)};
}

constexpr std::array long_options = {
    long_option("ctrl", required_argument, Option::control),
    long_option("image-key", required_argument, Option::image_key),
    long_option("key", required_argument, Option::key),
    long_option("image-name", required_argument, Option::image_name),
    long_option("space", required_argument, Option::space),
    long_option("grow", required_argument, Option::grow),
    long_option("anchor", required_argument, Option::anchor),
    long_option("anchor-policy", required_argument, Option::anchor_policy),
    long_option("server", required_argument, Option::server),
    long_option("admin", required_argument, Option::admin),
    long_option("detached", no_argument, Option::detached),
    long_option("incoming", no_argument, Option::incoming),
    long_option("shared", no_argument, Option::shared),
    long_option("take-over", no_argument, Option::take_over),
    long_option("owner-is-dead", no_argument, Option::owner_is_dead),
    long_option("reservation", no_argument, Option::reservation),
    long_option("no-seal", no_argument, Option::no_seal),
    long_option("no-auto-shutdown", no_argument, Option::no_auto_shutdown),
    long_option("startup", required_argument, Option::startup),
    long_option("tpm2", no_argument, Option::tpm2),
    long_option("tpm12", no_argument, Option::tpm12),
    long_option("blobs", required_argument, Option::blobs),
    long_option("user", required_argument, Option::user),
    long_option("mode", required_argument, Option::mode),
    long_option("group", required_argument, Option::group),
    long_option("pid", required_argument, Option::pid),
    long_option("seccomp", required_argument, Option::seccomp),
    long_option("log-level", required_argument, Option::log_level),
    long_option("successors", required_argument, Option::successors),
    long_option("predecessor", required_argument, Option::predecessor),
    long_option("help", no_argument, Option::help),
    long_option("version", no_argument, Option::version),
    option{nullptr, 0, nullptr, 0},
};

void print(int fd, std::string_view text) {
  // There is nobody to tell when this cannot be written.
  [[maybe_unused]] const auto written = ::write(fd, text.data(), text.size());
}

template <typename T> using Choices = std::initializer_list<std::pair<std::string_view, T>>;

// Sets `chosen` to what one of the words stands for.
template <typename T, typename Target>
Status choose(std::string_view option_name, std::string_view word, Choices<T> choices,
              Target& chosen) {
  std::string words;
  for (const auto& [name, value] : choices) {
    if (name == word) {
      chosen = value;
      return {};
    }
    words += (words.empty() ? "" : ", ") + std::string(name);
  }
  return usage_error(std::string(option_name) + " " + std::string(word),
                     "it takes one of " + words);
}

Status set_unix_socket(std::optional<SocketAddress>& socket, const char* option_name,
                       const std::string& text) {
  auto address = parse_socket_address(text);
  if (!address.ok()) {
    return address.error();
  }
  if (address->kind == SocketAddress::Kind::tcp) {
    return usage_error(std::string(option_name) + " takes a unix socket", "write unix:PATH");
  }
  socket = std::move(*address);
  return {};
}

Status set_server(Options& options, const std::string& text) {
  auto address = parse_socket_address(text);
  if (!address.ok()) {
    return address.error();
  }
  auto control = control_address_beside(*address);
  if (!control.ok()) {
    return control.error();
  }
  options.server = std::move(*address);
  options.server_control = std::move(*control);
  return {};
}

Status set_version(Options& options, TpmVersion version) {
  if (options.version && *options.version != version) {
    return usage_error("--tpm2 and --tpm12 exclude each other");
  }
  options.version = version;
  return {};
}

Status set_mode(Options& options, std::string_view text) {
  unsigned mode = 0;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, mode, 8);
  if (parsed.ec != std::errc() || parsed.ptr != end || mode > mode_bits) {
    return usage_error("--mode " + std::string(text), "write an octal number up to 0777");
  }
  options.socket_access.mode = mode;
  return {};
}

Status set_group(Options& options, const char* name) {
  group entry{};
  group* found = nullptr;
  std::vector<char> text(16384);
  ::getgrnam_r(name, &entry, text.data(), text.size(), &found);
  if (found == nullptr) {
    return usage_error("--group " + std::string(name) + ": there is no such group");
  }
  options.socket_access.group = entry.gr_gid;
  return {};
}

Status set_space(Options& options, std::string_view text) {
  const Result<SpacePolicy> space = parse_space_policy(text);
  if (!space) {
    return usage_error("--space: " + space.error().cause(), space.error().remedy());
  }
  options.space = *space;
  return {};
}

Status set_grow(Options& options, std::string_view text) {
  const Result<std::uint64_t> size = parse_size(text);
  if (!size) {
    return usage_error("--grow: " + size.error().cause(), size.error().remedy());
  }
  options.grow_max_bytes = *size;
  return {};
}

Status set_anchor_policy(Options& options, std::string_view text) {
  const Result<AnchorPolicy> policy = parse_anchor_policy(text);
  if (!policy) {
    return usage_error("--anchor-policy: " + policy.error().cause());
  }
  options.anchor_policy = *policy;
  return {};
}

Status add_key(Options& options, std::string_view text) {
  Result<KeySource> source = KeySource::parse(text);
  if (!source) { // Without the text, which may be the key itself.
    return usage_error("--key: " + source.error().cause(), source.error().remedy());
  }
  options.keys.add(*std::move(source));
  return {};
}

Status set_descriptor(int& descriptor, std::string_view text) {
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, descriptor);
  return parsed.ec == std::errc() && parsed.ptr == end && descriptor > 2
             ? Status()
             : usage_error(std::string(text) + ": no descriptor of a socket");
}

Status set_blobs_prefix(Options& options, const char* prefix) {
  options.blobs_prefix = prefix;
  return check_tpm_blobs_prefix(options.blobs_prefix);
}

Status set_option(Options& options, Option option, const char* argument) {
  switch (option) {
  case Option::control: return set_unix_socket(options.control, "--ctrl", argument);
  case Option::image_key: options.image_key_file = argument; return {};
  case Option::key: return add_key(options, argument);
  case Option::image_name: options.image_name = argument; return {};
  case Option::space: return set_space(options, argument);
  case Option::grow: return set_grow(options, argument);
  case Option::anchor: options.anchor = argument; return {};
  case Option::anchor_policy: return set_anchor_policy(options, argument);
  case Option::admin: return set_unix_socket(options.admin, "--admin", argument);
  case Option::detached: options.detached = true; return {};
  case Option::incoming: options.incoming = true; return {};
  case Option::shared: options.shared = true; return {};
  case Option::take_over:
    options.take_over = options.take_over.value_or(OwnerWord::nothing);
    return {};
  case Option::owner_is_dead: options.take_over = OwnerWord::is_dead; return {};
  case Option::reservation: options.reservation = true; return {};
  case Option::no_seal: options.seals = false; return {};
  case Option::no_auto_shutdown: options.shuts_down = false; return {};
  case Option::server: return set_server(options, argument);
  case Option::startup:
    return choose("--startup", argument,
                  Choices<Startup>{{"clear", Startup::clear},
                                   {"state", Startup::state},
                                   {"deactivated", Startup::deactivated}},
                  options.startup);
  case Option::tpm2: return set_version(options, TpmVersion::tpm2_0);
  case Option::tpm12: return set_version(options, TpmVersion::tpm1_2);
  case Option::blobs: return set_blobs_prefix(options, argument);
  case Option::user: options.user = argument; return {};
  case Option::mode: return set_mode(options, argument);
  case Option::group: return set_group(options, argument);
  case Option::pid: options.pid_file = argument; return {};
  case Option::seccomp:
    return choose(
        "--seccomp", argument,
        Choices<Seccomp>{{"on", Seccomp::on}, {"log", Seccomp::log}, {"off", Seccomp::off}},
        options.seccomp);
  case Option::log_level:
    return choose("--log-level", argument,
                  Choices<LogLevel>{{"error", LogLevel::error},
                                    {"warning", LogLevel::warning},
                                    {"info", LogLevel::info},
                                    {"debug", LogLevel::debug}},
                  options.log_level);
  case Option::successors: return set_descriptor(options.successors, argument);
  case Option::predecessor: return set_descriptor(options.predecessor, argument);
  case Option::help:
  case Option::version: break; // They end the program before this is called.
  }
  return {};
}

Status set_image(Options& options, int argument_count, char* const* arguments) {
  if (optind + 1 != argument_count) {
    return usage_error(optind == argument_count ? "no image is named" : "more than one image");
  }
  options.image = arguments[optind];
  return check_options(options);
}

} // namespace

std::variant<Options, ExitCode> parse_options(int argument_count, char* const* arguments) {
  Options options;
  Status status;
  while (status.ok()) {
    // One thread so far. getopt says itself what it does not know.
    // NOLINTNEXTLINE(concurrency-mt-unsafe)
    const int found = ::getopt_long(argument_count, arguments, "", long_options.data(), nullptr);
    if (found == -1) {
      status = set_image(options, argument_count, arguments);
      break;
    }
    if (found == '?') {
      return ExitCode::usage;
    }
    if (static_cast<Option>(found) == Option::help) {
      print(STDOUT_FILENO, usage_text());
      return ExitCode::ok;
    }
    if (static_cast<Option>(found) == Option::version) {
      print(STDOUT_FILENO, "vnvram-tpm " + std::string(version()) + "\n");
      return ExitCode::ok;
    }
    status = set_option(options, static_cast<Option>(found), optarg);
  }
  if (!status.ok()) {
    print(STDERR_FILENO, "vnvram-tpm: " + operator_text(status.error()) + "\n");
    return ExitCode::usage;
  }
  return options;
}

} // namespace vnvram
