#include "cli/copy_run.h"

#include <utility>

#include "base/operator_text.h"
#include "base/plain_text.h"
#include "cli/input.h"
#include "cli/owner_socket.h"

namespace vnvram::cli {

Result<std::unique_ptr<CopyRun>> CopyRun::begin(const CopyOptions& options, std::string what) {
  Result<BlockCopyTarget> target = options.target();
  if (!target) {
    return target.error();
  }
  const Result<std::uint64_t> rate_bytes = options.rate_bytes();
  if (!rate_bytes) {
    return rate_bytes.error();
  }
  auto end = EndRequest::expect();
  if (!end) {
    return end.error();
  }
  return std::unique_ptr<CopyRun>(
      new CopyRun(*std::move(target), *std::move(end), std::move(what), *rate_bytes));
}

CopyRun::CopyRun(BlockCopyTarget target, std::unique_ptr<EndRequest> end, std::string what,
                 std::uint64_t rate_bytes)
    : target_(std::move(target)), end_(std::move(end)), progress_(std::move(what)),
      pace_(rate_bytes, *end_) {
  target_.progress = [this](const BlockCopyProgress& made) {
    progress_.show(made.done_bytes, made.all_bytes);
    pace_.hurry(made.hurries);
  };
}

Result<std::unique_ptr<OwnerClient>> CopyRun::connect(const std::string& image) {
  Result<UniqueFd> socket = connect_socket(image);
  if (!socket) {
    return socket.error();
  }
  end_->when_stuck(hang_up(*socket));
  return OwnerClient::connect(*std::move(socket));
}

// Nobody else would say so of a command that ends by a signal.
void CopyRun::finish(const Status& done) {
  progress_.clear();
  if (!done && end_->has_come()) {
    show_note(plain_text(operator_text(done.error()) + (left_.empty() ? "" : "; " + left_)));
    end_->obey();
  }
}

} // namespace vnvram::cli
