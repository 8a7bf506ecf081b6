// `vnvram serve`: owns an image for other processes.
#pragma once

#include "base/unique_fd.h"
#include "cli/command.h"
#include "owner/image_keeper.h"
#include "service/listener.h"
#include "service/log.h"

namespace vnvram::cli {

class ServeCommand : public Command {
public:
  explicit ServeCommand(CLI::App& parent);
  Result<ExitCode> run(Output& output) override;

private:
  Result<SocketAccess> socket_access() const;
  /// Until a signal comes.
  Status serve(ImageKeeper& keeper, const Listener& listener, const UniqueFd& signals,
               const Log& log) const;

  std::string control_;
  std::string mode_ = "0600";
  std::string group_;
  std::string log_level_ = "info";
  std::string space_ = "reserve";
};

} // namespace vnvram::cli
