// An anchor that a command of the operator's keeps.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/unique_fd.h"
#include "device/bound_child.h"
#include "vnvram/anchor.h"

namespace vnvram {

/// The command runs as long as this object is there, and is asked line by line on its standard
/// input: so nothing has to be started once the process may start no program any more.
///
///   read            one line of JSON, or: none
///   write POINT     ok, once it is durable
///
/// To both: error TEXT. It ends when its input does. One that answers anything else, or too late,
/// is ended, and every later call fails.
class CommandAnchor : public Anchor {
public:
  static constexpr std::chrono::milliseconds answer_time_default{30000};

  /// Errors: io.
  static Result<std::shared_ptr<CommandAnchor>>
  start(const std::string& command, std::chrono::milliseconds answer_time = answer_time_default);

  [[nodiscard]] std::string name() const override { return "anchor exec:" + command_; }
  /// Whether somebody else uses what the command keeps is the command's affair.
  Status lock() override { return {}; }
  void unlock() override {}
  Result<std::optional<AnchorPoint>> read() override;
  Status write(const AnchorPoint& point) override;

private:
  using Deadline = std::chrono::steady_clock::time_point;

  CommandAnchor(std::string command, std::chrono::milliseconds answer_time, BoundChild child,
                UniqueFd connection)
      : command_(std::move(command)), answer_time_(answer_time), child_(std::move(child)),
        connection_(std::move(connection)) {}

  Result<std::string> ask(std::string line);
  Status send(std::string_view text, Deadline deadline);
  Result<std::string> receive(Deadline deadline);
  /// False: the deadline came first. Without one it only looks.
  bool wait_for(short events, std::optional<Deadline> deadline);
  Error given_up(const std::string& why);

  const std::string command_;
  const std::chrono::milliseconds answer_time_;
  BoundChild child_;
  UniqueFd connection_; ///< Not valid: it was given up.
};

} // namespace vnvram
