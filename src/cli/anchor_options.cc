#include "cli/anchor_options.h"

namespace vnvram::cli {

AnchorOptions::AnchorOptions(CLI::App& app, bool with_policy) {
  app.add_option("--anchor", values_->anchor,
                 "what the image's newest state is, is kept there: an older copy, or one that went "
                 "on elsewhere, is refused")
      ->type_name("file:PATH|exec:COMMAND");
  if (with_policy) {
    app.add_option("--anchor-policy", values_->policy,
                   "when the anchor is written, beside each opening: at each commit (commit, the "
                   "default), after so long (every=SECONDS), when the image is closed (open)")
        ->type_name("commit|every=SECONDS|open");
  }
}

Result<AnchorUse> AnchorOptions::open() const {
  AnchorUse use;
  if (!given()) {
    if (!values_->policy.empty()) {
      return Error(ErrorKind::invalid_argument, "--anchor-policy without --anchor");
    }
    return use;
  }
  if (!values_->policy.empty()) {
    const Result<AnchorPolicy> policy = parse_anchor_policy(values_->policy);
    if (!policy) {
      return policy.error();
    }
    use.policy = *policy;
  }
  Result<std::shared_ptr<Anchor>> anchor = open_anchor(values_->anchor);
  if (!anchor) {
    return anchor.error();
  }
  use.anchor = *std::move(anchor);
  return use;
}

std::vector<std::string> AnchorOptions::arguments() const {
  std::vector<std::string> arguments;
  if (given()) {
    arguments.insert(arguments.end(), {"--anchor", values_->anchor});
  }
  if (!values_->policy.empty()) {
    arguments.insert(arguments.end(), {"--anchor-policy", values_->policy});
  }
  return arguments;
}

} // namespace vnvram::cli
