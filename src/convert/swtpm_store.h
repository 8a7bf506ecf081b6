// A TPM as swtpm keeps it, in a folder, a file or on a device, and what is in it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "convert/swtpm_key.h"
#include "convert/swtpm_state_file.h"
#include "soft_tpm/tpm_blobs.h"
#include "vnvram/result.h"

namespace vnvram {

/// States as libtpms made them, in the order of TpmState; no bytes: there is none.
using TpmStates = std::vector<std::vector<std::byte>>;

struct SwtpmStore {
  TpmVersion version = TpmVersion::tpm2_0;
  TpmStates states;
  bool was_encrypted = false;
};

enum class SwtpmBackEnd { folder, linear };

/// Nothing is changed, and swtpm is kept away meanwhile. What it holds libtpms has not judged yet.
/// `key`: nullptr for none. `wanted`: where there may be TPMs of both versions. Errors: absent (no
/// permanent state, or no such place), in_use (swtpm runs), foreign, io; invalid_argument; those of
/// SwtpmStateFile::unwrap().
Result<SwtpmStore> read_swtpm_store(const std::string& path, const SwtpmKey* key,
                                    std::optional<TpmVersion> wanted);
/// As swtpm has them; what was made is proven by being read again. Errors: those of
/// SwtpmStateFile::wrap(); corrupt.
Result<SwtpmStateFiles> wrap_swtpm_states(const SwtpmStore& store, const SwtpmKey* key);
/// Whether write_swtpm_store() would find nothing in its way. Nothing is changed. Errors: exists,
/// in_use; io.
Status check_swtpm_place(const std::string& path, SwtpmBackEnd back_end);
/// Over nothing that is there, and whole; but see SwtpmFolder and SwtpmLinearPlace. Errors: theirs,
/// and those of SwtpmKey::seal().
Status write_swtpm_store(const std::string& path, SwtpmBackEnd back_end, const SwtpmStore& store,
                         const SwtpmKey* key);

} // namespace vnvram
