// `vnvram import-swtpm`: takes a TPM over that swtpm has kept.
#pragma once

#include <string>
#include <vector>

#include "cli/anchor_options.h"
#include "cli/command.h"
#include "cli/grow_option.h"
#include "cli/image_identity.h"
#include "cli/swtpm_options.h"
#include "vnvram/store.h"

namespace vnvram::cli {

class ImportSwtpmCommand : public Command {
public:
  explicit ImportSwtpmCommand(CLI::App& parent);
  Result<ExitCode> run(Output& output) override;

private:
  [[nodiscard]] Result<SwtpmStore> read_source() const;
  /// Whether there is an image.
  [[nodiscard]] Result<bool> look(TpmVersion version) const;
  [[nodiscard]] Status check_unused(const Store& store, TpmVersion version) const;
  /// What the image is to say of the TPM to everybody; nothing is no reason to refuse the TPM.
  [[nodiscard]] ImageIdentity identity_of(const SwtpmStore& source) const;
  [[nodiscard]] Status make_image(const std::vector<NewBlob>& blobs,
                                  const ImageIdentity& identity) const;
  /// Says whether the image is encrypted.
  [[nodiscard]] Result<bool> put_into_image(const SwtpmStore& source,
                                            const std::vector<NewBlob>& blobs,
                                            const ImageIdentity& identity) const;
  /// Of a TPM whose place this one takes nothing is said any more.
  [[nodiscard]] Status note(Store& store, const ImageIdentity& identity) const;

  std::string path_;
  SwtpmOptions options_;
  bool replace_ = false;
  std::string space_ = "reserve";
  AnchorOptions anchor_;
  GrowOption grow_;
};

} // namespace vnvram::cli
