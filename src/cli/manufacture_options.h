// --manufacture and what belongs to it: new TPMs that have an identity.
#pragma once

#include <CLI/App.hpp>
#include <string>
#include <vector>

#include "manufacture/manufactured_tpm.h"
#include "vnvram/store.h"

namespace vnvram::cli {

class ManufactureOptions {
public:
  /// Declares the options; `app` must not outlive this object's use.
  void add_to(CLI::App& app);

  [[nodiscard]] bool wanted() const { return wanted_; }
  /// Whether these TPMs can be manufactured. Errors: invalid_argument.
  [[nodiscard]] Status check(const CreateOptions& options) const;
  /// What fill() adds to the metadata has no more names than this, and no longer values.
  [[nodiscard]] PublicMetadata metadata_room(const CreateOptions& options) const;
  /// Gives each TPM 2.0 that begins without content a state, and its identity to the metadata.
  /// Errors: those of manufacture_tpm() and read_tpm_identity().
  [[nodiscard]] Status fill(CreateOptions& options) const;

private:
  [[nodiscard]] Status fill_one(NewBlob& permanent, PublicMetadata& metadata) const;

  bool wanted_ = false;
  bool no_key_certificate_ = false;
  bool no_platform_certificate_ = false;
  bool no_lock_ = false;
  ManufactureOrder order_;
};

} // namespace vnvram::cli
