// `vnvram tpm`: talks to a TPM that is running, and tells who one is that is at rest.
#pragma once

#include <vector>

#include "cli/command.h"
#include "cli/tpm_identity.h"
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

  void add_identity();

  std::vector<Verb> verbs_;
  CLI::App* identity_app_ = nullptr;
  TpmIdentityVerb identity_;
  std::string socket_;
  std::string location_;
  bool json_ = false;
};

} // namespace vnvram::cli
