// `vnvram create`: makes an image.
#pragma once

#include "cli/blob_options.h"
#include "cli/command.h"
#include "cli/anchor_options.h"

namespace vnvram::cli {

class CreateCommand : public Command {
public:
  explicit CreateCommand(CLI::App& parent);
  Result<ExitCode> run(Output& output) override;

private:
  [[nodiscard]] Result<AnchorUse> open_free_anchor() const;
  [[nodiscard]] Status anchor(const AnchorUse& use) const;

  BlobOptions blobs_;
  std::string size_;
  std::string ring_size_;
  std::string format_;
  bool force_ = false;
  AnchorOptions anchor_;
};

} // namespace vnvram::cli
