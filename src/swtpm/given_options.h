// What is on swtpm's command line, before any of it is understood.
#pragma once

#include <optional>
#include <string>

#include "swtpm/swtpm_options.h"

namespace vnvram {

/// Options in whatever order they come; of one that is given twice the last one counts.
struct GivenOptions {
  // Lists of "KEY=VALUE".
  std::optional<std::string> control, server, state, log, pid, flags, locality, migration, seccomp;
  std::optional<std::string> key, migration_key;
  std::optional<std::string> port, descriptor, device, information;
  // What swtpm has and we have not.
  std::optional<std::string> profile, capture;
  std::string root, user;
  bool tpm2 = false;
  bool daemon = false;
  bool terminate = false;
  bool vtpm_proxy = false;
  bool help = false;
  bool print_capabilities = false;
  bool print_states = false;
  bool print_profiles = false;
};

/// Reads all options, up to --help. `arguments` begins with the interface's name. Errors:
/// invalid_argument (an option that swtpm does not have for this interface; more than options).
Result<GivenOptions> read_given_options(SwtpmOptions::Interface interface, int argument_count,
                                        char* const* arguments);

} // namespace vnvram
