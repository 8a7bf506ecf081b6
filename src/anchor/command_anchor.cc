#include "anchor/command_anchor.h"

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <span>
#include <system_error>
#include <utility>

#include <fmt/core.h>

#include "base/plain_text.h"

namespace vnvram {
namespace {

constexpr std::size_t answer_max_bytes = 4096;
constexpr std::size_t quoted_max_bytes = 300;
constexpr std::chrono::seconds last_words_time{1};
constexpr std::string_view error_word = "error ";
constexpr const char* remedy = "see that the command works, then open the image again";

std::string in_quotes(std::string_view text) {
  return plain_text(text.substr(0, quoted_max_bytes));
}

} // namespace

Result<std::shared_ptr<CommandAnchor>> CommandAnchor::start(const std::string& command,
                                                            std::chrono::milliseconds answer_time) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return Error(ErrorKind::io, "anchor exec:" + command + ": cannot make a pair of sockets: " +
                                    std::generic_category().message(errno));
  }
  UniqueFd ours(ends[0]);
  const UniqueFd theirs(ends[1]);
  Result<BoundChild> child = BoundChild::start({"/bin/sh", "-c", command}, -1, theirs.get());
  if (!child) {
    return child.error();
  }
  return std::shared_ptr<CommandAnchor>(
      new CommandAnchor(command, answer_time, *std::move(child), std::move(ours)));
}

Result<std::optional<AnchorPoint>> CommandAnchor::read() {
  const Result<std::string> answer = ask("read");
  if (!answer) {
    return answer.error();
  }
  if (*answer == "none") {
    return std::optional<AnchorPoint>();
  }
  const Result<AnchorPoint> point = parse_anchor(*answer);
  if (!point) {
    return Error(point.error().kind(), fmt::format("{}: {}", name(), point.error().cause()),
                 point.error().remedy());
  }
  return std::optional(*point);
}

Status CommandAnchor::write(const AnchorPoint& point) {
  const Result<std::string> answer = ask("write " + anchor_text(point));
  if (!answer) {
    return answer.error();
  }
  return *answer == "ok"
             ? Status{}
             : given_up(fmt::format("it answers '{}' where ok is due", in_quotes(*answer)));
}

Result<std::string> CommandAnchor::ask(std::string line) {
  if (!connection_.valid()) {
    return Error(ErrorKind::io, name() + ": it was given up before", remedy);
  }
  const auto deadline = Deadline::clock::now() + answer_time_;
  if (wait_for(POLLIN, std::nullopt)) { // Or it has ended.
    return given_up("it speaks without being asked, or has ended");
  }
  line += '\n';
  const Status sent = send(line, deadline);
  if (!sent) {
    return sent.error();
  }
  Result<std::string> answer = receive(deadline);
  if (answer && answer->starts_with(error_word)) { // Its own word: it can be asked again.
    return Error(ErrorKind::io,
                 fmt::format("{}: {}", name(),
                             in_quotes(std::string_view(*answer).substr(error_word.size()))),
                 remedy);
  }
  return answer;
}

Status CommandAnchor::send(std::string_view text, Deadline deadline) {
  while (!text.empty()) {
    const ssize_t count =
        ::send(connection_.get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count > 0) {
      text.remove_prefix(static_cast<std::size_t>(count));
    } else if (count < 0 && errno == EAGAIN) {
      if (!wait_for(POLLOUT, deadline)) {
        return given_up("it does not read what it is asked");
      }
    } else if (count == 0 || errno != EINTR) {
      return given_up("it has ended");
    }
  }
  return {};
}

// One line and nothing behind it: more would be taken for the answer to the next question.
Result<std::string> CommandAnchor::receive(Deadline deadline) {
  std::string answer;
  std::array<char, answer_max_bytes> buffer{};
  while (answer.empty() || answer.back() != '\n') {
    const ssize_t count = ::recv(connection_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (count > 0) {
      answer.append(buffer.data(), static_cast<std::size_t>(count));
      const std::size_t end = answer.find('\n');
      if (answer.size() > answer_max_bytes ||
          (end != std::string::npos && end + 1 != answer.size())) {
        return given_up("it answers more than one line, or a line that is too long");
      }
    } else if (count < 0 && errno == EAGAIN) {
      if (!wait_for(POLLIN, deadline)) {
        return given_up("it does not answer");
      }
    } else if (count == 0 || errno != EINTR) {
      return given_up("it has ended");
    }
  }
  answer.pop_back();
  return answer;
}

bool CommandAnchor::wait_for(short events, std::optional<Deadline> deadline) {
  std::chrono::milliseconds left{0};
  if (deadline) {
    left = std::chrono::ceil<std::chrono::milliseconds>(*deadline - Deadline::clock::now());
  }
  struct pollfd connection = {.fd = connection_.get(), .events = events, .revents = 0};
  return left.count() >= 0 && ::poll(&connection, 1, static_cast<int>(left.count())) != 0;
}

Error CommandAnchor::given_up(const std::string& why) {
  connection_.reset();
  child_.kill();
  (void)child_.wait(last_words_time); // Its last words.
  const std::string& said = child_.said();
  return {ErrorKind::io,
          fmt::format("{}: {}{}", name(), why,
                      said.empty() ? "" : fmt::format(" (it says: {})", in_quotes(said))),
          remedy};
}

} // namespace vnvram
