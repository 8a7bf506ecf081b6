// The command line of vnvram-swtpm, which is swtpm's.
#pragma once

#include <optional>
#include <string>

#include "service/sandbox.h"
#include "soft_tpm/tpm_blobs.h"
#include "swtpm/channel_option.h"
#include "swtpm/file_option.h"
#include "swtpm/run_option.h"
#include "swtpm/tpm_state_option.h"
#include "vnvram/result.h"

namespace vnvram {

struct SwtpmOptions {
  enum class Interface { none, socket, character_device };
  enum class Action {
    serve,
    print_states, ///< `state` is there; of the channels and what follows them nothing is.
    print_capabilities,
    print_information,
    help, ///< For `interface`.
    version,
  };

  Interface interface = Interface::none;
  Action action = Action::serve;
  TpmVersion version = TpmVersion::tpm1_2;
  unsigned information_flags = 0; ///< print_information: what of, in libtpms's numbers.

  std::optional<ControlChannel> control;
  std::optional<DataChannel> data; ///< With `serve`, there is this one or the other or both.
  bool terminates = false;         ///< The process ends when the data channel's client goes.

  std::optional<TpmStateOption> state; ///< Nothing: INIT fails, and nothing else does.
  std::optional<std::string> key;      ///< As it was given; see SwtpmKeyOption.
  std::optional<std::string> migration_key;
  MigrationOption migration;

  FlagsOption flags;
  LocalityOption locality;

  LogOption log = default_log();
  std::optional<PidOption> pid;
  bool becomes_daemon = false;
  std::string root; ///< --chroot: every path is one in there. Empty: none.
  std::string user; ///< --runas: a name or a number. Empty: none.
  Seccomp seccomp = Seccomp::on;
};

/// What was understood, up to the mistake if there is one: a log that was given before it is among
/// that, so that the mistake can be told there, too.
struct SwtpmCommandLine {
  SwtpmOptions options;
  Status status; ///< invalid_argument, or unsupported for what swtpm has and we do not.
};

/// By getopt_long, for the reason that vnvram-tpm's parse_options() has. Takes what swtpm takes, of
/// 0.7.1 up to 0.11, and looks at the environment as it does (TPM_PATH, TPM_PORT). Opens, makes and
/// prints nothing; looks only at what descriptors are and at users' names.
SwtpmCommandLine parse_swtpm_options(int argument_count, char* const* arguments);

} // namespace vnvram
