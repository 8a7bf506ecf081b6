// `vnvram size`: tells how large an image must be.
#pragma once

#include <string>
#include <vector>

#include "cli/blob_options.h"
#include "cli/command.h"
#include "cli/manufacture_options.h"

namespace vnvram::cli {

class SizeCommand : public Command {
public:
  explicit SizeCommand(CLI::App& parent);
  Result<ExitCode> run(Output& output) override;

private:
  BlobOptions blobs_;
  std::string ring_size_;
  std::vector<std::string> ignored_;
  ManufactureOptions not_looked_at_;
  bool encrypt_ = false;
  bool json_ = false;
};

} // namespace vnvram::cli
