// `vnvram export-swtpm`: gives a TPM back to swtpm.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "cli/anchor_options.h"
#include "cli/command.h"
#include "cli/swtpm_options.h"
#include "convert/swtpm_return.h"
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
  /// The image is sealed by it.
  [[nodiscard]] Result<SwtpmStore> take_states(std::unique_ptr<Store>& store) const;
  [[nodiscard]] Status take_seal_off(const Error& why) const;
  [[nodiscard]] Result<SwtpmStore> hand_over(const SwtpmKey* key) const;
  [[nodiscard]] Status check_in_place() const;
  [[nodiscard]] Status check_kept(const std::string& kept, const SwtpmStore& states) const;
  [[nodiscard]] Status put_back(SwtpmReturn& place, const SwtpmStore& states, const SwtpmKey* key,
                                bool& begun);
  [[nodiscard]] Result<SwtpmStore> give_back(const SwtpmKey* key);
  [[nodiscard]] Result<SwtpmStore> copy(const SwtpmKey* key) const;

  std::string path_;
  SwtpmOptions options_;
  bool linear_ = false;
  bool no_seal_ = false;
  bool in_place_ = false;
  std::string keep_;
  std::string kept_; ///< Where the image is, if swtpm has its place.
  AnchorOptions anchor_;
  KeyRing opening_;
};

} // namespace vnvram::cli
