#include "swtpm/given_options.h"

#include <getopt.h>

#include <array>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "swtpm/option_list.h"

namespace vnvram {
namespace {

using Interface = SwtpmOptions::Interface;
using Text = std::optional<std::string> GivenOptions::*;
using Flag = bool GivenOptions::*;
using Place = std::string GivenOptions::*;

struct Option {
  const char* name;
  char letter = 0; ///< 0: it has a long name only.
  std::variant<Text, Flag, Place> target;
  Interface interface = Interface::none; ///< none: both have it.
};

constexpr std::array options = {
    Option{"daemon", 'd', &GivenOptions::daemon},
    Option{"help", 'h', &GivenOptions::help},
    Option{"port", 'p', &GivenOptions::port, Interface::socket},
    Option{"terminate", 't', &GivenOptions::terminate, Interface::socket},
    Option{"server", 0, &GivenOptions::server, Interface::socket},
    Option{"chardev", 'c', &GivenOptions::device, Interface::character_device},
    Option{"vtpm-proxy", 0, &GivenOptions::vtpm_proxy, Interface::character_device},
    Option{"fd", 'f', &GivenOptions::descriptor},
    Option{"ctrl", 0, &GivenOptions::control},
    Option{"tpmstate", 0, &GivenOptions::state},
    Option{"tpm2", 0, &GivenOptions::tpm2},
    Option{"log", 0, &GivenOptions::log},
    Option{"pid", 0, &GivenOptions::pid},
    Option{"key", 0, &GivenOptions::key},
    Option{"migration-key", 0, &GivenOptions::migration_key},
    Option{"migration", 0, &GivenOptions::migration},
    Option{"flags", 0, &GivenOptions::flags},
    Option{"locality", 0, &GivenOptions::locality},
    Option{"seccomp", 0, &GivenOptions::seccomp},
    Option{"runas", 'r', &GivenOptions::user},
    Option{"chroot", 'R', &GivenOptions::root},
    Option{"print-capabilities", 0, &GivenOptions::print_capabilities},
    Option{"print-states", 0, &GivenOptions::print_states},
    Option{"print-profiles", 0, &GivenOptions::print_profiles},
    Option{"print-info", 0, &GivenOptions::information},
    Option{"profile", 0, &GivenOptions::profile},
    Option{"pcap", 0, &GivenOptions::capture},
};

// Numbers of options without a letter; no letter is as large.
constexpr int number_first = 256;

// getopt's view of those that an interface has.
struct Grammar {
  std::vector<option> names;
  std::string letters = ":"; ///< A missing argument is reported as such.
};

Grammar grammar_of(Interface interface) {
  Grammar grammar;
  int number = number_first;
  for (const Option& each : options) {
    const bool takes_text = !std::holds_alternative<Flag>(each.target);
    if (each.interface == Interface::none || each.interface == interface) {
      grammar.names.push_back(
          {each.name, takes_text ? required_argument : no_argument, nullptr, number});
      if (each.letter != 0) {
        grammar.letters += each.letter;
        grammar.letters += takes_text ? ":" : "";
      }
    }
    ++number;
  }
  grammar.names.push_back({nullptr, 0, nullptr, 0});
  return grammar;
}

const Option& option_of(int found) {
  if (found >= number_first) {
    return options.at(static_cast<std::size_t>(found - number_first));
  }
  for (const Option& each : options) {
    if (each.letter == found) {
      return each;
    }
  }
  return options.at(options.size()); // Not reached: getopt knows no other letters.
}

void set(GivenOptions& given, const Option& option, const char* argument) {
  if (const auto* text = std::get_if<Text>(&option.target)) {
    given.*(*text) = argument;
  } else if (const auto* place = std::get_if<Place>(&option.target)) {
    given.*(*place) = argument;
  } else {
    given.*std::get<Flag>(option.target) = true;
  }
}

// What getopt did not take. `last`: the argument that it has just read.
Error not_taken(int found, int unknown, const char* last, const char* interface) {
  const std::string remedy = fmt::format("see swtpm {} --help", interface);
  if (found == ':') {
    return option_error(fmt::format("option '{}' requires an argument", last), remedy);
  }
  if (unknown > 0 && unknown < number_first) {
    return option_error(fmt::format("invalid option -- '{}'", static_cast<char>(unknown)), remedy);
  }
  if (unknown >= number_first) {
    return option_error(
        fmt::format("option '--{}' doesn't allow an argument", option_of(unknown).name), remedy);
  }
  return option_error(fmt::format("unrecognized option '{}'", last), remedy);
}

} // namespace

Result<GivenOptions> read_given_options(Interface interface, int argument_count,
                                        char* const* arguments) {
  const Grammar grammar = grammar_of(interface);
  GivenOptions given;
  optind = 0; // From the beginning, also the second time.
  opterr = 0;
  while (!given.help) {
    // One thread so far.
    // NOLINTNEXTLINE(concurrency-mt-unsafe)
    const int found = ::getopt_long(argument_count, arguments, grammar.letters.c_str(),
                                    grammar.names.data(), nullptr);
    if (found == -1) {
      break;
    }
    if (found == '?' || found == ':') {
      return not_taken(found, optopt, arguments[optind - 1], arguments[0]);
    }
    set(given, option_of(found), optarg);
  }
  if (!given.help && optind < argument_count) {
    return option_error(fmt::format("Unknown parameter '{}'", arguments[optind]));
  }
  return given;
}

} // namespace vnvram
