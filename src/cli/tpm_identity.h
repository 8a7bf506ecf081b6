// `vnvram tpm identity`: the endorsement keys and certificates of a TPM at rest.
#pragma once

#include <CLI/App.hpp>
#include <string>
#include <vector>

#include "base/exit_code.h"
#include "cli/output.h"
#include "identity/identity_metadata.h"
#include "vnvram/key_ring.h"
#include "vnvram/open_device.h"
#include "vnvram/public_metadata.h"
#include "vnvram/result.h"

namespace vnvram::cli {

/// Nothing is written: the TPM is started on a copy, in memory.
class TpmIdentityVerb {
public:
  /// Declares the options; `verb` must not outlive this object's use.
  void add_to(CLI::App& verb);

  /// Errors: not_found (no such TPM, or no certificate in it); key_needed (the image is encrypted:
  /// what it says to everybody is shown if that is asked for); unsupported (a TPM 1.2); those of
  /// reading an image.
  Result<ExitCode> run(const std::string& image, const DeviceOptions& device, const KeyRing& keys,
                       Output& output) const;

private:
  using Bytes = std::vector<std::byte>;

  [[nodiscard]] Result<Bytes> read_state(const std::string& image, const DeviceOptions& device,
                                         const KeyRing& keys) const;
  Result<ExitCode> show_said(const std::string& image, const DeviceOptions& device,
                             const Error& no_key, Output& output) const;
  void show(const TpmIdentity& identity, Output& output) const;

  std::string prefix_;
  bool unproven_ = false;
  bool json_ = false;
};

} // namespace vnvram::cli
