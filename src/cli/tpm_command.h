// `vnvram tpm`: talks to a TPM that is running.
#pragma once

#include <vector>

#include "cli/command.h"
#include "rpc/tpm_admin_client.h"

namespace vnvram::cli {

class TpmCommand : public Command {
public:
  explicit TpmCommand(CLI::App& parent);
  Result<ExitCode> run(Output& output) override;

private:
  struct Verb {
    TpmAdminCall call;
    CLI::App* app;
  };
  void add_verb(TpmAdminCall call, const std::string& name, const std::string& summary,
                const std::string& footer);

  std::vector<Verb> verbs_;
  std::string socket_;
  std::string location_;
  bool json_ = false;
};

} // namespace vnvram::cli
