// What there is while a command copies an image: its target, its pace, and the wish that it end.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "backup/block_copy.h"
#include "cli/copy_options.h"
#include "cli/copy_pace.h"
#include "cli/end_request.h"
#include "cli/progress.h"
#include "rpc/owner_client.h"

namespace vnvram::cli {

/// Half a copy of a TPM is cleared away: SIGINT and the like come here from its beginning on.
class CopyRun {
public:
  /// `what`: the command, for whoever watches. Errors: invalid_argument (the options), io.
  static Result<std::unique_ptr<CopyRun>> begin(const CopyOptions& options, std::string what);
  CopyRun(const CopyRun&) = delete;
  CopyRun& operator=(const CopyRun&) = delete;

  [[nodiscard]] BlockCopyTarget& target() { return target_; }
  [[nodiscard]] EndRequest& end() { return *end_; }
  void hurry(bool hurries) { pace_.hurry(hurries); }
  [[nodiscard]] std::function<Status(std::size_t size_bytes)> before_read() {
    return [this](std::size_t size_bytes) { return pace_.keep(size_bytes); };
  }
  /// To the image's owner, from whom nobody waits for an answer who is to end. The errors of
  /// connect_owner().
  Result<std::unique_ptr<OwnerClient>> connect(const std::string& image);
  /// What is to be said beside the error when the command has failed because it was to end: what is
  /// left. Nothing: the error says it.
  void leaves(std::string what) { left_ = std::move(what); }
  /// Before what has to be said of how it ended. A command that has failed because it was to end
  /// says so here, and does not come back.
  void finish(const Status& done);

private:
  CopyRun(BlockCopyTarget target, std::unique_ptr<EndRequest> end, std::string what,
          std::uint64_t rate_bytes);

  BlockCopyTarget target_;
  const std::unique_ptr<EndRequest> end_;
  Progress progress_;
  std::string left_;
  CopyPace pace_;
};

} // namespace vnvram::cli
