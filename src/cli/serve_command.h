// `vnvram serve`: owns an image for other processes.
#pragma once

#include "cli/command.h"
#include "service/listener.h"
#include "service/log.h"

namespace vnvram::cli {

class ServeCommand : public Command {
public:
  explicit ServeCommand(CLI::App& parent);
  Result<ExitCode> run(Output& output) override;

private:
  Result<SocketAccess> socket_access() const;

  std::string control_;
  std::string mode_ = "0600";
  std::string group_;
  std::string log_level_ = "info";
  std::string space_ = "reserve";
};

} // namespace vnvram::cli
