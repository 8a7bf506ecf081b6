// What a vnvram-swtpm is made of, as the command line asks for it.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "convert/swtpm_key.h"
#include "service/log.h"
#include "soft_tpm/soft_tpm.h"
#include "swtpm/swtpm_options.h"
#include "tpm/image_place.h"
#include "tpm/options.h"
#include "vnvram/key.h"
#include "vnvram/key_ring.h"
#include "vnvram/result.h"

namespace vnvram {

/// The options, with paths that stay right wherever the process stands, and the keys that they
/// name.
class ProgramSetup {
public:
  /// Reads the keys. Errors: those of SwtpmKeyOption.
  static Result<ProgramSetup> make(const SwtpmOptions& options);

  [[nodiscard]] const SwtpmOptions& options() const { return options_; }
  [[nodiscard]] const SwtpmKey* state_key() const { return state_key_.get(); }
  [[nodiscard]] const SwtpmKey* migration_key() const { return migration_key_.get(); }
  /// What opens the image.
  [[nodiscard]] KeyRing image_keys() const;

  /// The state is with another process, which has its image open.
  [[nodiscard]] bool has_owner() const;
  /// For opening it, programs may have to be started: a VM image.
  [[nodiscard]] bool may_need_programs() const;
  /// What vnvram-tpm would be started with.
  [[nodiscard]] Options tpm_options() const;
  /// Where the image is found, each time that it is needed; none: it has an owner, or there is no
  /// place. The other two outlive it.
  [[nodiscard]] std::unique_ptr<ImagePlace> make_place(SoftTpm& tpm, const Log& log) const;

private:
  explicit ProgramSetup(SwtpmOptions options) : options_(std::move(options)) {}

  SwtpmOptions options_;
  std::shared_ptr<const SwtpmKey> state_key_;
  std::shared_ptr<const SwtpmKey> migration_key_;
  std::optional<KeySource> image_key_; ///< The state's, for the image's key slot.
};

} // namespace vnvram
