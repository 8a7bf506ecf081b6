// `vnvram meta`: what an image says to everybody.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/command.h"
#include "vnvram/public_metadata.h"

namespace vnvram::cli {

class MetaCommand : public Command {
public:
  explicit MetaCommand(CLI::App& parent);
  Result<ExitCode> run(Output& output) override;

private:
  using Deed = Result<ExitCode> (MetaCommand::*)(Output&);
  struct Verb {
    CLI::App* app;
    Deed deed;
  };
  CLI::App& add_verb(Deed deed, const std::string& name, const std::string& summary,
                     const std::string& footer);

  Result<ExitCode> list(Output& output);
  Result<ExitCode> get(Output& output);
  Result<ExitCode> set(Output& output);
  Result<ExitCode> remove(Output& output);
  [[nodiscard]] Result<PublicMetadata> read() const;
  [[nodiscard]] Status change(const std::optional<std::string>& value) const;
  /// What --file or VALUE says.
  [[nodiscard]] Result<std::string> value() const;

  std::vector<Verb> verbs_;
  std::string name_;
  std::string value_;
  std::string file_;
  CLI::Option* value_option_ = nullptr; ///< Of `set`, as is the next.
  CLI::Option* file_option_ = nullptr;
  bool json_ = false;
};

} // namespace vnvram::cli
