// `vnvram encrypt` and `vnvram decrypt`: an image as an encrypted one, or as a plain one.
#pragma once

#include <string>

#include "cli/command.h"
#include "cli/key_options.h"

namespace vnvram::cli {

/// What both of them do.
class ConversionCommand : public Command {
public:
  [[nodiscard]] std::string made_place() const override { return out_; }
  Result<ExitCode> run(Output& output) override;

protected:
  ConversionCommand(CLI::App& parent, const std::string& name, const std::string& summary,
                    const std::string& examples, bool encrypts);

private:
  std::string out_; ///< Empty: the image's own place.
  DeviceOptions out_device_ = noted_device();
  NewKeyOptions new_keys_;
  const bool encrypts_;
  bool force_ = false;
};

class EncryptCommand : public ConversionCommand {
public:
  explicit EncryptCommand(CLI::App& parent);
};

class DecryptCommand : public ConversionCommand {
public:
  explicit DecryptCommand(CLI::App& parent);
};

} // namespace vnvram::cli
