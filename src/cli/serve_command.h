// `vnvram serve`: owns an image for other processes, and starts those that serve a machine.
#pragma once

#include <list>
#include <vector>

#include "base/unique_fd.h"
#include "cli/anchor_options.h"
#include "cli/command.h"
#include "cli/grow_option.h"
#include "cli/metrics_options.h"
#include "cli/rate_options.h"
#include "cli/take_over_options.h"
#include "keys/held_key.h"
#include "service/listener.h"
#include "service/log.h"
#include "supervise/front_end.h"

namespace vnvram::cli {

class ServeCommand : public Command {
public:
  explicit ServeCommand(CLI::App& parent);
  Result<ExitCode> run(Output& output) override;

private:
  Result<ExitCode> print(Output& output) const;
  Result<ExitCode> own(const Log& log) const;
  Result<ExitCode> supervise(const Log& log) const;
  /// Errors: invalid_argument.
  /// What the image is opened with.
  [[nodiscard]] DeviceOptions device_of_owner(const Log& log) const;
  /// Opens their sockets, to which the list is added, and says how they are started.
  Result<std::vector<FrontEnd>> front_ends(std::list<Listener>& listeners,
                                           const SocketAccess& access) const;
  /// Those of this command line that the owner is started with.
  std::vector<std::string> owner_options() const;
  [[nodiscard]] Result<std::vector<HeldKey>> hold_keys() const;

  MetricsOptions metrics_;
  RateOptions rates_;
  AnchorOptions anchor_;
  TakeOverOptions take_over_;
  GrowOption grow_;
  std::string control_;
  std::vector<std::string> tpm_;
  std::vector<std::string> nbd_;
  std::string mode_;
  std::string group_;
  std::string user_;
  std::string log_level_ = "info";
  std::string seccomp_ = "on";
  std::string space_ = "reserve";
  std::string print_; ///< For whom; empty: nothing is printed.
  bool incoming_ = false;
  bool reservation_ = false;
  bool shared_ = false;
  bool tpm_hands_over_ = false;
  int channel_ = -1;                  ///< Given by a process of this command to the owner.
  bool again_ = false;                ///< Likewise, to one that is not the first.
  std::string after_;                 ///< Likewise: whom it comes after.
  std::string place_;                 ///< Likewise: where the image is, if it was moved.
  std::vector<std::string> moved_to_; ///< Likewise: where the image may be by now.
};

} // namespace vnvram::cli
