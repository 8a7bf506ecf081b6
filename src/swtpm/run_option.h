// How the TPM runs: --flags, --locality, --migration, --seccomp.
#pragma once

#include <string_view>

#include "service/sandbox.h"
#include "soft_tpm/soft_tpm.h"
#include "vnvram/result.h"

namespace vnvram {

struct FlagsOption {
  bool needs_init = true; ///< The TPM is off until the control channel's INIT.
  Startup startup = Startup::none;
  bool shuts_down = true; ///< TPM2_Shutdown in the stead of a guest that has not said it.
};

struct LocalityOption {
  bool rejects_locality_4 = false;
  bool allows_set_locality = false; ///< By a command, which Linux's vTPM proxy sends.
};

struct MigrationOption {
  bool incoming = false;      ///< The storage is locked when a state comes, not before.
  bool releases_lock = false; ///< It is given up once the state has gone out.
};

/// Errors of all: invalid_argument.
Result<FlagsOption> parse_flags(std::string_view list);
Result<LocalityOption> parse_locality(std::string_view list);
Result<MigrationOption> parse_migration(std::string_view list);
Result<Seccomp> parse_seccomp(std::string_view list);

} // namespace vnvram
