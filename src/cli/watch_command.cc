#include "cli/watch_command.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <variant>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "base/operator_text.h"
#include "cli/owner_socket.h"
#include "cli/text.h"
#include "service/termination_signals.h"

namespace vnvram::cli {
namespace {

using Json = nlohmann::ordered_json;

template <typename... Cases> struct Either : Cases... { using Cases::operator()...; };
template <typename... Cases> Either(Cases...) -> Either<Cases...>;

std::string event_text(const OwnerEvent& event) {
  return std::visit(
      Either{
          [](const Error& failure) { return "failure: " + printable(operator_text(failure)); },
          [](const GenerationReached& reached) {
            return fmt::format("generation {}", reached.generation);
          },
          [](const SealChanged& seal) { return std::string(seal.sealed ? "sealed" : "unsealed"); },
          [](const NearlyFull& full) {
            return fmt::format("nearly full: {}: {} of {} bytes are used, and it {}",
                               full.blob.empty() ? "the space for blobs"
                                                 : "blob " + printable(full.blob),
                               full.used_bytes, full.size_bytes, printable(full.forecast));
          }},
      event);
}

Json event_json(const OwnerEvent& event) {
  return std::visit(
      Either{[](const Error& failure) {
               return Json{{"event", "failure"},
                           {"kind", kind_name(failure.kind())},
                           {"cause", failure.cause()},
                           {"remedy", failure.remedy()}};
             },
             [](const GenerationReached& reached) {
               return Json{{"event", "generation"}, {"generation", reached.generation}};
             },
             [](const SealChanged& seal) {
               return Json{{"event", seal.sealed ? "sealed" : "unsealed"}};
             },
             [](const NearlyFull& full) {
               return Json{{"event", "nearly_full"},
                           {"blob", full.blob.empty() ? Json() : Json(full.blob)},
                           {"used_bytes", full.used_bytes},
                           {"size_bytes", full.size_bytes},
                           {"forecast", full.forecast}};
             }},
      event);
}

/// What the client's thread has heard, until the main thread has printed it.
class EventQueue {
public:
  explicit EventQueue(UniqueFd news_fd) : news_fd_(std::move(news_fd)) {}

  void add(const OwnerEvent& event) {
    const std::lock_guard lock(mutex_);
    const bool takes_its_place = std::holds_alternative<GenerationReached>(event) &&
                                 !events_.empty() &&
                                 std::holds_alternative<GenerationReached>(events_.back());
    if (takes_its_place) {
      events_.pop_back();
    }
    events_.push_back(event);
    if (events_.size() > events_max) {
      events_.pop_front(); // As the owner itself does it.
    }
    tell();
  }
  void end(const Error& why) {
    const std::lock_guard lock(mutex_);
    lost_ = why;
    tell();
  }
  /// The next one, if there is one.
  std::optional<OwnerEvent> take() {
    const std::lock_guard lock(mutex_);
    if (events_.empty()) {
      return std::nullopt;
    }
    OwnerEvent event = std::move(events_.front());
    events_.pop_front();
    return event;
  }
  [[nodiscard]] bool empty() const {
    const std::lock_guard lock(mutex_);
    return events_.empty();
  }
  /// Why nothing more will come.
  [[nodiscard]] std::optional<Error> lost() const {
    const std::lock_guard lock(mutex_);
    return lost_;
  }
  /// Readable when there is news.
  [[nodiscard]] int news_fd() const { return news_fd_.get(); }
  void heard() const {
    std::uint64_t count = 0;
    [[maybe_unused]] const auto taken = ::read(news_fd_.get(), &count, sizeof(count));
  }

private:
  static constexpr std::size_t events_max = 1000;

  void tell() const {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(news_fd_.get(), &one, sizeof(one));
  }

  mutable std::mutex mutex_;
  const UniqueFd news_fd_;
  std::deque<OwnerEvent> events_;
  std::optional<Error> lost_;
};

/// Until a signal says so, or nothing more comes, or nobody reads it any more. A reader that is
/// slow keeps only the lines waiting.
Status print_events(EventQueue& events, Output& output, bool json, const UniqueFd& signals) {
  std::array<pollfd, 3> entries = {
      pollfd{.fd = signals.get(), .events = POLLIN, .revents = 0},
      pollfd{.fd = events.news_fd(), .events = POLLIN, .revents = 0},
      pollfd{.fd = STDOUT_FILENO, .events = 0, .revents = 0}}; // Always: that its reader has gone.
  while (!output.has_failed()) {
    const std::optional<Error> lost = events.lost();
    if (lost && events.empty()) {
      return *lost;
    }
    entries[2].events = events.empty() ? short{0} : short{POLLOUT};
    if (::poll(entries.data(), entries.size(), -1) < 0) {
      continue;
    }
    if (entries[0].revents != 0) {
      return {};
    }
    events.heard();
    if ((entries[2].revents & POLLOUT) != 0) {
      const std::optional<OwnerEvent> event = events.take();
      if (event && json) {
        output.write_json_line(event_json(*event));
      } else if (event) {
        output.write_text(event_text(*event) + '\n');
      }
    } else if (entries[2].revents != 0) {
      return Error(ErrorKind::io, "nobody reads standard output any more");
    }
  }
  return {}; // The output knows why.
}

} // namespace

WatchCommand::WatchCommand(CLI::App& parent)
    : Command(
          parent, "watch", "print what happens at the owner of an image, as it happens",
          "CONTROL is what `vnvram serve` has behind --control. One line for each event, at once:\n"
          "the generation that the image is at (the first line, and the newest whenever it has\n"
          "changed: not each one), that it was sealed or unsealed, that a blob or the space for\n"
          "blobs is nearly full, and what has failed without anybody asking for it. Until SIGTERM\n"
          "or SIGINT, and then it ends with 0; when the owner goes, with 21.\n\n"
          "Examples:\n"
          "  vnvram watch unix:/run/vm1/owner.sock\n"
          "  vnvram watch unix:/run/vm1/owner.sock --json | while read -r event; do ...; done") {
  add_control();
  app().add_flag("--json", json_, "print each event as a line of JSON");
}

Result<ExitCode> WatchCommand::run(Output& output) {
  const Result<UniqueFd> signals = take_termination_signals(); // Before there are threads.
  if (!signals) {
    return signals.error();
  }
  UniqueFd news_fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!news_fd.valid()) {
    return Error(ErrorKind::io,
                 "cannot make an event descriptor: " + std::system_category().message(errno));
  }
  EventQueue events(std::move(news_fd));
  const auto owner = connect_owner(image());
  if (!owner) {
    return owner.error();
  }
  const Status watches = (*owner)->watch([&events](const OwnerEvent& event) { events.add(event); },
                                         [&events](const Error& error) { events.end(error); });
  if (!watches) {
    return watches.error();
  }
  const Status ended = print_events(events, output, json_, *signals);
  return ended ? Result<ExitCode>(ExitCode::ok) : ended.error();
}

} // namespace vnvram::cli
