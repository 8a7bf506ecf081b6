// Which blobs to register, as options on the command line.
#pragma once

#include <CLI/App.hpp>
#include <string>
#include <vector>

#include "vnvram/store.h"

namespace vnvram::cli {

/// --tpm2[=PREFIX], --tpm12[=PREFIX], --uefi FILE and --blob NAME:TYPE:MAX[=FILE].
class BlobOptions {
public:
  /// Declares the options; `app` must not outlive this object's use.
  void add_to(CLI::App& app, bool with_file);

  /// What the options name. Of files only --uefi's was read: `file` of each blob is what stands
  /// after "=", or empty.
  struct NamedBlob {
    NewBlob fresh;
    std::string file;
    std::string note; ///< What the user should know about --uefi's file.
  };
  /// Errors: invalid_argument; for --uefi's file too_large and io, too.
  [[nodiscard]] Result<std::vector<NamedBlob>> named_blobs() const;

  /// The specs alone. Errors: those of named_blobs().
  [[nodiscard]] Result<std::vector<BlobSpec>> specs() const;

  /// The specs and the content of their files, checked as read_content() does. Errors: too_large
  /// for a file that does not fit its blob; invalid_argument; io.
  [[nodiscard]] Result<std::vector<NewBlob>> new_blobs(bool force) const;

private:
  bool with_file_ = false;
  std::vector<std::string> tpm2_prefixes_; ///< As given; see no_prefix.
  std::vector<std::string> tpm12_prefixes_;
  std::string uefi_file_;
  std::vector<std::string> blobs_;
};

} // namespace vnvram::cli
