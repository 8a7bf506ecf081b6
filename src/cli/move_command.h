// `vnvram move`: an image goes on at another place, while its machine runs.
#pragma once

#include <string>

#include "backup/image_move.h"
#include "backup/owner_move_source.h"
#include "cli/anchor_options.h"
#include "cli/command.h"
#include "cli/copy_options.h"
#include "cli/copy_run.h"

namespace vnvram::cli {

class MoveCommand : public Command {
public:
  explicit MoveCommand(CLI::App& parent);
  [[nodiscard]] std::string made_place() const override { return copy_.place(); }
  Result<ExitCode> run(Output& output) override;

private:
  [[nodiscard]] Status check_places() const;
  /// What is left while the old place decides.
  [[nodiscard]] std::string left_if_ended(const std::string& from) const;
  Result<MoveReport> move_by_owner(CopyRun& run) const;
  /// Until the owner that comes next has the image, wherever that is then.
  Result<MoveReport> wait_for_next(CopyRun& run, const OwnerMoveSource& source,
                                   MoveReport report) const;
  Result<MoveReport> move(CopyRun& run) const;
  /// At the new place, where it is sealed for that number.
  [[nodiscard]] Status go_on(const OpenOptions& by_number) const;
  void show(const MoveReport& report, Output& output) const;

  AnchorOptions anchor_;
  CopyOptions copy_{"TO"};
};

} // namespace vnvram::cli
