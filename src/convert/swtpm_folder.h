// The folder that swtpm's back end dir:// keeps a TPM's states in, each in a file.
#pragma once

#include <optional>
#include <string>

#include "base/folder.h"
#include "convert/swtpm_state_file.h"
#include "soft_tpm/tpm_blobs.h"
#include "vnvram/result.h"

namespace vnvram {

class SwtpmFolder {
public:
  explicit SwtpmFolder(std::string path) : path_(std::move(path)) {}

  /// E.g. "tpm2-00.permall".
  [[nodiscard]] static std::string file_name(TpmVersion version, TpmState state);
  /// What swtpm locks while it runs.
  static constexpr const char* lock_name = ".lock";
  [[nodiscard]] std::string lock_path() const { return path_ + "/" + lock_name; }

  /// Of which version the folder has a permanent state, or, if it has one of each, of which it is
  /// asked for. Errors: absent (of none); invalid_argument (of both, and none is asked for).
  [[nodiscard]] Result<TpmVersion> version(std::optional<TpmVersion> wanted) const;
  /// Errors: io; corrupt (too large to be one).
  [[nodiscard]] Result<SwtpmStateFiles> read(TpmVersion version) const;
  /// The same of one that is open.
  [[nodiscard]] static Result<SwtpmStateFiles> read(const Folder& folder, TpmVersion version);
  /// Whether write() would find nothing in its way. Errors: exists, in_use.
  [[nodiscard]] Status check_free() const;
  /// Makes the folder, or, if it is there, adds the files, the permanent state last: without that
  /// swtpm sees no TPM. Errors: exists (there is a state of either version), in_use; no_space,
  /// read_only, io.
  [[nodiscard]] Status write(TpmVersion version, const SwtpmStateFiles& states) const;

private:
  [[nodiscard]] bool has(TpmVersion version, TpmState state) const;

  std::string path_;
};

} // namespace vnvram
