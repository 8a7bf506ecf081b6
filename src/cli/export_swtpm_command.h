// `vnvram export-swtpm`: gives a TPM back to swtpm.
#pragma once

#include <string>

#include "cli/anchor_options.h"
#include "cli/command.h"
#include "cli/swtpm_options.h"
#include "vnvram/store.h"

namespace vnvram::cli {

class ExportSwtpmCommand : public Command {
public:
  explicit ExportSwtpmCommand(CLI::App& parent);
  Result<ExitCode> run(Output& output) override;

private:
  [[nodiscard]] SwtpmBackEnd back_end() const;
  /// Without --key swtpm's own: vnvram-swtpm encrypts an image with that.
  [[nodiscard]] Status choose_keys(const SwtpmKey* key);
  [[nodiscard]] Result<TpmVersion> find_version(const Store& store) const;
  [[nodiscard]] Result<SwtpmStore> read_states(Store& store) const;
  [[nodiscard]] Result<SwtpmStore> hand_over(const SwtpmKey* key) const;
  [[nodiscard]] Result<SwtpmStore> copy(const SwtpmKey* key) const;

  std::string path_;
  SwtpmOptions options_;
  bool linear_ = false;
  bool no_seal_ = false;
  AnchorOptions anchor_;
  KeyRing opening_;
};

} // namespace vnvram::cli
