// A TPM with an identity: endorsement keys, and certificates of them.
#pragma once

#include <string>

#include "base/secret_bytes.h"
#include "vnvram/result.h"

namespace vnvram {

/// What swtpm_setup is to do; what is empty is as its configuration has it.
struct ManufactureOrder {
  std::string tpm_program = "vnvram-swtpm"; ///< A path, or a name that is looked for along PATH.
  std::string config;
  std::string machine; ///< Whom the certificates are for.
  std::string pcr_banks;
  std::string rsa_key_size;
  bool certifies_key = true;
  bool certifies_platform = true;
  bool locks_areas = true;
  bool makes_storage_key = false;
  bool storage_key_is_ecc = false;
  bool allows_signing = false;
  bool allows_decryption = false;
};

/// The permanent state of a new TPM 2.0, as libtpms makes it. Nothing is left of it anywhere else.
/// Errors: unsupported (there is no swtpm_setup), io (it has failed, or the folder for temporary
/// files), invalid_argument.
Result<SecretBytes> manufacture_tpm(const ManufactureOrder& options);

} // namespace vnvram
