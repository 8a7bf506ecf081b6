// `vnvram create`: makes an image.
#pragma once

#include "cli/anchor_options.h"
#include "cli/blob_options.h"
#include "cli/command.h"
#include "cli/manufacture_options.h"

namespace vnvram::cli {

class CreateCommand : public Command {
public:
  explicit CreateCommand(CLI::App& parent);
  Result<ExitCode> run(Output& output) override;

private:
  [[nodiscard]] Result<AnchorUse> open_free_anchor() const;
  [[nodiscard]] Status anchor(const AnchorUse& use, const CreateOptions& created) const;

  [[nodiscard]] std::string birth_text() const;
  [[nodiscard]] Status manufacture(CreateOptions& options, std::uint64_t size_bytes) const;

  BlobOptions blobs_;
  std::string birth_;
  CLI::Option* birth_option_ = nullptr;
  std::string size_;
  std::string ring_size_;
  std::string format_;
  bool force_ = false;
  bool encrypt_ = false;
  AnchorOptions anchor_;
  NewKeyOptions new_keys_;
  ManufactureOptions manufacture_;
};

} // namespace vnvram::cli
