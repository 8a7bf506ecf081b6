#include "swtpm/swtpm_options.h"

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <string_view>
#include <utility>

#include <fmt/core.h>

#include "swtpm/given_options.h"
#include "swtpm/option_list.h"

namespace vnvram {
namespace {

using Interface = SwtpmOptions::Interface;
using Action = SwtpmOptions::Action;

// What libtpms tells of itself: the specification, the TPM's attributes, its features.
constexpr unsigned long information_flags_max = 7;

Error refused(std::string_view option, std::string_view why, std::string remedy) {
  return {ErrorKind::unsupported, fmt::format("{} is not served: {}", option, why),
          std::move(remedy)};
}

std::optional<std::string> environment_text(const char* name) {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): nothing of ours changes the environment.
  const char* value = std::getenv(name);
  return value == nullptr || *value == '\0' ? std::nullopt : std::optional<std::string>(value);
}

// Sets what an option is for, if it was given.
template <typename Target, typename Parse>
Status set_parsed(Target& target, const std::optional<std::string>& text, Parse parse) {
  if (!text) {
    return {};
  }
  auto parsed = parse(*text);
  if (!parsed.ok()) {
    return parsed.error();
  }
  target = *std::move(parsed);
  return {};
}

/// From texts to options, in swtpm's order: of several mistakes the same one is told.
class Reading {
public:
  Reading(const GivenOptions& given, SwtpmOptions& options) : given_(given), options_(options) {}

  Status read() {
    take_plain();
    Status status = check_port();
    for (const auto step : {&Reading::read_log, &Reading::read_device, &Reading::choose_action,
                            &Reading::read_channels, &Reading::read_state, &Reading::read_running,
                            &Reading::check_whole}) {
      if (status.ok() && !is_read_) {
        status = (this->*step)();
      }
    }
    return status;
  }

private:
  void take_plain() {
    options_.version = given_.tpm2 ? TpmVersion::tpm2_0 : TpmVersion::tpm1_2;
    options_.terminates = given_.terminate;
    options_.key = given_.key;
    options_.migration_key = given_.migration_key;
    options_.becomes_daemon = given_.daemon;
    options_.root = given_.root;
    options_.user = given_.user;
  }

  // What the environment says counts if a server needs a port, and nothing of it is an error
  // before.
  Status check_port() {
    const auto text = environment_text("TPM_PORT");
    if (const auto port = parse_port(text.value_or("")); port.ok()) {
      port_ = *port;
    }
    return set_parsed(port_, given_.port, parse_port);
  }

  Status read_log() { return set_parsed(options_.log, given_.log, parse_log); }

  // The data channel that is no server's.
  Status read_device() {
    const bool is_socket = options_.interface == Interface::socket;
    if (given_.vtpm_proxy) {
      if (given_.descriptor || given_.device) {
        return option_error("Cannot use vTPM proxy with a provided device.");
      }
      options_.data = DataChannel{.place = VtpmProxy{}};
    } else if (given_.device && !given_.descriptor) {
      options_.data = DataChannel{.place = CharacterDevice{*given_.device}};
    } else if (given_.descriptor) {
      if (given_.server || given_.port || given_.device) {
        return option_error(fmt::format("--fd beside {}", given_.device   ? "--chardev"
                                                          : given_.server ? "--server"
                                                                          : "--port"),
                            "give one of them: commands come from one place");
      }
      const std::string_view what = is_socket ? "socket" : "character device";
      Status status = set_parsed(options_.data, given_.descriptor, [&](const std::string& text) {
        return parse_open_channel(what, text);
      });
      if (!status.ok()) {
        return status;
      }
    }
    options_.terminates = options_.terminates || options_.data.has_value();
    return {};
  }

  Status choose_action() {
    if (given_.print_capabilities) {
      options_.action = Action::print_capabilities;
      is_read_ = true;
    } else if (given_.print_states) {
      options_.action = Action::print_states;
      options_.data.reset();
    } else if (given_.print_profiles || given_.profile) {
      return refused(given_.profile ? "--profile" : "--print-profiles",
                     "a TPM is made without a profile here",
                     "leave it out: the TPM has all that its libtpms implements");
    } else if (given_.information) {
      options_.action = Action::print_information;
      is_read_ = true;
      return read_information();
    }
    return {};
  }

  Status read_information() {
    const std::string& text = *given_.information;
    char* end = nullptr;
    errno = 0;
    const unsigned long flags = std::strtoul(text.c_str(), &end, 0);
    if (end == text.c_str() || *end != '\0' || errno != 0 || flags == 0 || flags > UINT_MAX) {
      return option_error(fmt::format("Cannot parse info value '{}'.", text),
                          "write a sum of 1, 2 and 4");
    }
    if (flags > information_flags_max) {
      return refused("--print-info " + text,
                     "what it asks for comes with profiles, which are not served",
                     "write a sum of 1, 2 and 4");
    }
    options_.information_flags = static_cast<unsigned>(flags);
    return {};
  }

  Status read_channels() {
    if (options_.action != Action::serve) {
      return {};
    }
    if (Status status = set_parsed(options_.control, given_.control, parse_control_channel);
        !status.ok() || (!given_.server && !given_.port)) {
      return status;
    }
    // --port is the older way, in which each command has a connection of its own.
    const std::string list = given_.server.value_or("type=tcp,disconnect");
    const auto parse = [this](const std::string& text) {
      return parse_server_channel(text, port_);
    };
    if (Status status = set_parsed(options_.data, list, parse); !status.ok()) {
      return status;
    }
    const bool is_open = std::holds_alternative<OpenDescriptor>(options_.data->place);
    options_.terminates = options_.terminates || is_open;
    return {};
  }

  Status read_state() {
    if (Status status = set_parsed(options_.state, given_.state, parse_tpm_state); !status.ok()) {
      return status;
    }
    if (options_.action == Action::print_states) {
      is_read_ = true;
      return options_.state
                 ? Status()
                 : option_error("Error: --tpmstate option is required for --print-states");
    }
    if (const auto folder = environment_text("TPM_PATH"); folder && !options_.state) {
      options_.state = tpm_state_in(*folder);
    }
    return {};
  }

  Status read_running() {
    Status status = set_parsed(options_.pid, given_.pid, parse_pid);
    if (status.ok()) {
      status = set_parsed(options_.locality, given_.locality, parse_locality);
    }
    if (status.ok()) {
      status = set_parsed(options_.seccomp, given_.seccomp, parse_seccomp);
    }
    if (status.ok()) {
      status = set_parsed(options_.flags, given_.flags, parse_flags);
    }
    if (status.ok()) {
      status = set_parsed(options_.migration, given_.migration, parse_migration);
    }
    if (given_.vtpm_proxy) { // The kernel asks the TPM at once, for localities, too.
      options_.flags.needs_init = false;
      options_.locality.allows_set_locality = true;
      if (options_.flags.startup == Startup::none) {
        options_.flags.startup = Startup::clear;
      }
    }
    return status;
  }

  Status check_whole() {
    if (given_.capture) {
      return refused("--pcap", "the TPM's commands are not recorded",
                     "leave it out; --log file=FILE,level=5 has libtpms's own words");
    }
    if (options_.flags.startup == Startup::deactivated && options_.version == TpmVersion::tpm2_0) {
      return option_error("TPM 2 does not support startup deactivated.",
                          "write startup-clear, or leave out --tpm2");
    }
    if (options_.interface == Interface::character_device && !options_.data) {
      return option_error("Error: Missing character device or file descriptor",
                          "give --chardev or --fd");
    }
    if (!options_.data && !options_.control) {
      return option_error("there is nothing to serve on", "give --ctrl, or --server, or both");
    }
    return {};
  }

  const GivenOptions& given_;
  SwtpmOptions& options_;
  std::optional<std::uint16_t> port_;
  bool is_read_ = false; ///< What follows has no meaning for what is to be done.
};

Result<Interface> interface_of(std::string_view word) {
  if (word == "socket") {
    return Interface::socket;
  }
  if (word == "chardev") {
    return Interface::character_device;
  }
  return option_error(fmt::format("Unsupported TPM interface type '{}'.", word),
                      word == "cuse" ? "no device is made for it here; swtpm socket serves QEMU"
                                     : "write socket or chardev; see swtpm --help");
}

} // namespace

SwtpmCommandLine parse_swtpm_options(int argument_count, char* const* arguments) {
  SwtpmCommandLine line;
  if (argument_count < 2) {
    line.status =
        option_error("Missing TPM interface type.", "write socket or chardev; see swtpm --help");
    return line;
  }
  const std::string_view word = arguments[1];
  if (word == "--help" || word == "-h" || word == "--version" || word == "-v") {
    line.options.action =
        word.ends_with('h') || word.ends_with("help") ? Action::help : Action::version;
    return line;
  }
  const Result<Interface> interface = interface_of(word);
  if (!interface.ok()) {
    line.status = interface.error();
    return line;
  }
  line.options.interface = *interface;
  const Result<GivenOptions> given =
      read_given_options(*interface, argument_count - 1, arguments + 1);
  if (!given.ok()) {
    line.status = given.error();
  } else if (given->help) {
    line.options.action = Action::help;
  } else {
    line.status = Reading(*given, line.options).read();
  }
  return line;
}

} // namespace vnvram
