// Anchors and their policy, as users write them.
#include <charconv>
#include <filesystem>
#include <system_error>

#include <fmt/core.h>

#include "anchor/command_anchor.h"
#include "anchor/file_anchor.h"
#include "base/plain_text.h"
#include "vnvram/anchor.h"

namespace vnvram {
namespace {

constexpr std::string_view file_word = "file:";
constexpr std::string_view command_word = "exec:";
constexpr std::string_view every_word = "every=";
constexpr unsigned period_max_seconds = 86400;

} // namespace

Result<AnchorPolicy> parse_anchor_policy(std::string_view text) {
  if (text == "open") {
    return AnchorPolicy{.moment = AnchorPolicy::Moment::open};
  }
  if (text == "commit") {
    return AnchorPolicy{.moment = AnchorPolicy::Moment::commit};
  }
  unsigned seconds = 0;
  if (text.starts_with(every_word)) {
    const std::string_view number = text.substr(every_word.size());
    const auto [end, error] =
        std::from_chars(number.data(), number.data() + number.size(), seconds);
    if (error != std::errc() || end != number.data() + number.size()) {
      seconds = 0;
    }
  }
  if (seconds == 0 || seconds > period_max_seconds) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("anchor policy '{}' is none of open, every=SECONDS (1 ... {}), commit",
                             plain_text(text), period_max_seconds));
  }
  return AnchorPolicy{.moment = AnchorPolicy::Moment::every,
                      .period = std::chrono::seconds(seconds)};
}

Result<std::shared_ptr<Anchor>> open_anchor(std::string_view text) {
  if (text.starts_with(file_word) && text.size() > file_word.size()) {
    // A daemon may leave the folder that it was started in.
    std::error_code error;
    const std::string path =
        std::filesystem::absolute(text.substr(file_word.size()), error).string();
    Result<std::shared_ptr<FileAnchor>> opened = FileAnchor::open(path);
    return opened ? Result<std::shared_ptr<Anchor>>(*std::move(opened)) : opened.error();
  }
  if (text.starts_with(command_word) && text.size() > command_word.size()) {
    Result<std::shared_ptr<CommandAnchor>> started =
        CommandAnchor::start(std::string(text.substr(command_word.size())));
    return started ? Result<std::shared_ptr<Anchor>>(*std::move(started)) : started.error();
  }
  return Error(ErrorKind::invalid_argument,
               fmt::format("anchor '{}' is neither file:PATH nor exec:COMMAND", plain_text(text)));
}

} // namespace vnvram
