#include "soak/soak_supervisor.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <system_error>
#include <vector>

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vnvram/open_device.h"

namespace vnvram::test {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

// So small that it wraps and fills up all the time.
constexpr std::uint64_t ring_size_bytes = std::uint64_t{512} << 10U;
constexpr std::uint64_t command_check_interval = 200;
// Nothing the client does takes as long; a client that hangs is a failure.
constexpr std::chrono::seconds patience{60};

[[noreturn]] void give_up(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

std::string difference(const SoakState& expected, const SoakState& found) {
  for (const auto& [name, bytes] : expected) {
    const auto other = found.find(name);
    if (other == found.end()) {
      return fmt::format("{} is not there", name);
    }
    if (bytes.size() != other->second.size()) {
      return fmt::format("{} has {} bytes instead of {}", name, other->second.size(), bytes.size());
    }
    const auto place = std::mismatch(bytes.begin(), bytes.end(), other->second.begin()).first;
    if (place != bytes.end()) {
      return fmt::format("{} differs from byte {} on", name, place - bytes.begin());
    }
  }
  return found.size() == expected.size() ? "nothing" : "a blob is there that should not be";
}

} // namespace

SoakSupervisor::SoakSupervisor(SoakOptions options)
    : options_(std::move(options)),
      image_(fmt::format("{}/soak-{}.vnvram", options_.dir, ::getpid())), random_(options_.seed),
      begin_(Clock::now()), shown_(begin_) {
  for (unsigned thread = 0; thread < soak_thread_count; ++thread) {
    threads_.at(thread).acknowledged = soak_state(thread);
  }
}

SoakResult SoakSupervisor::run() {
  bool good = create();
  while (good && Clock::now() - begin_ < options_.length) {
    good = run_client() && compare() && check();
    show_progress();
  }
  if (good && check_with_command()) {
    std::remove(image_.c_str());
  }
  return result_;
}

bool SoakSupervisor::create() {
  CreateOptions options;
  options.ring_size_bytes = ring_size_bytes;
  for (const BlobSpec& spec : soak_blobs()) {
    options.blobs.push_back({spec});
  }
  const Status created = create_image_file(image_, std::uint64_t{8} << 20U, options);
  return created ? true : fail("create: " + created.error().text());
}

bool SoakSupervisor::run_client() {
  int process = -1;
  int reports = -1;
  stage_.reset();
  start_client(process, reports);
  const bool good = end_client(process, reports);
  // Whatever happened, it does not outlive this round.
  ::kill(process, SIGKILL);
  int status = 0;
  ::waitpid(process, &status, 0);
  ::close(reports);
  return good;
}

void SoakSupervisor::start_client(int& process, int& reports) const {
  std::vector<std::string> words = {
      "/proc/self/exe", "--client", image_, "--seed", std::to_string(options_.seed),
      "--first-numbers"};
  for (const ThreadLog& thread : threads_) {
    words.push_back(std::to_string(thread.next_number));
  }
  std::vector<char*> arguments;
  for (std::string& word : words) {
    arguments.push_back(word.data());
  }
  arguments.push_back(nullptr);
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
    give_up("pipe");
  }
  process = ::fork();
  if (process < 0) {
    give_up("fork");
  }
  if (process == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::dup2(ends[1], STDOUT_FILENO);
    ::execv(arguments[0], arguments.data());
    ::_exit(127);
  }
  ::close(ends[1]);
  reports = ends[0];
}

/// Until the client's end of the pipe is closed, or the time has come.
bool SoakSupervisor::take_reports(int reports, std::optional<Clock::time_point> until) {
  const Clock::time_point end = until.value_or(Clock::now() + patience);
  for (;;) {
    const auto left = end - Clock::now();
    if (left <= Clock::duration::zero()) {
      return until.has_value() ? true : fail("the client hangs");
    }
    const auto nanoseconds = std::chrono::nanoseconds(left).count();
    const struct timespec timeout = {.tv_sec = nanoseconds / 1'000'000'000,
                                     .tv_nsec = nanoseconds % 1'000'000'000};
    struct pollfd readable = {.fd = reports, .events = POLLIN, .revents = 0};
    if (::ppoll(&readable, 1, &timeout, nullptr) <= 0) {
      continue;
    }
    SoakReport report; // Written in one piece, so it is read in one.
    const ssize_t count = ::read(reports, &report, sizeof(report));
    if (count == 0) {
      return true;
    }
    if (count != sizeof(report)) {
      give_up("reading a report");
    }
    if (!take(report)) {
      return false;
    }
    // The next thing to wait for has a deadline of its own.
    if (!until &&
        (report.kind == SoakReport::Kind::opening || report.kind == SoakReport::Kind::opened)) {
      return true;
    }
  }
}

bool SoakSupervisor::take(const SoakReport& report) {
  switch (report.kind) {
  case SoakReport::Kind::submitting: {
    ThreadLog& thread = threads_.at(report.thread);
    thread.submitted = report.number;
    thread.next_number = report.number + 1;
    return true;
  }
  case SoakReport::Kind::acknowledged: {
    ThreadLog& thread = threads_.at(report.thread);
    if (thread.submitted != report.number) {
      return fail("the client acknowledges what it did not submit");
    }
    apply_operation(soak_operation(options_.seed, report.thread, report.number),
                    thread.acknowledged);
    thread.submitted.reset();
    acknowledged_generation_ = std::max(acknowledged_generation_, report.generation);
    ++result_.commits;
    return true;
  }
  case SoakReport::Kind::opened:
    ++result_.reopenings;
    if (report.generation < acknowledged_generation_) {
      ++result_.losses;
      return fail(fmt::format("opened at generation {}, acknowledged was {}", report.generation,
                              acknowledged_generation_));
    }
    break;
  case SoakReport::Kind::failed: return fail("the client failed; it has said why");
  default: break;
  }
  stage_ = report.kind;
  return true;
}

bool SoakSupervisor::end_client(int process, int reports) {
  const std::uint64_t draw = random_.below(100);
  const End end = draw < 25   ? End::kill_in_opening
                  : draw < 85 ? End::kill
                  : draw < 93 ? End::close
                              : End::kill_in_closing;
  if (!take_reports(reports, std::nullopt)) { // until it is opening
    return false;
  }
  const Clock::time_point opening = Clock::now();
  if (end == End::kill_in_opening) {
    const auto limit = static_cast<std::uint64_t>(
        microseconds::rep{std::chrono::duration_cast<microseconds>(opening_time_).count()});
    if (!take_reports(reports, opening + microseconds(random_.below(limit * 3 / 2 + 1)))) {
      return false;
    }
  } else {
    if (!take_reports(reports, std::nullopt)) { // until it has opened
      return false;
    }
    opening_time_ = (opening_time_ * 7 + (Clock::now() - opening)) / 8;
    // A few milliseconds often, a few hundred at times.
    const milliseconds longest{std::uint64_t{4} << random_.below(7)};
    const microseconds after(
        random_.below(static_cast<std::uint64_t>(microseconds(longest).count())));
    if (!take_reports(reports, Clock::now() + after)) {
      return false;
    }
  }
  if (end == End::close || end == End::kill_in_closing) {
    ::kill(process, SIGTERM);
    const auto until = end == End::close
                           ? std::nullopt
                           : std::optional(Clock::now() + microseconds(random_.below(15'000)));
    if (!take_reports(reports, until)) {
      return false;
    }
  }
  if (stage_ == SoakReport::Kind::closed) {
    ++result_.clean_closes;
  } else {
    ::kill(process, SIGKILL);
    ++result_.kills;
    result_.kills_in_opening += stage_ == SoakReport::Kind::opening ? 1U : 0U;
    result_.kills_in_closing += stage_ == SoakReport::Kind::closing ? 1U : 0U;
  }
  // What it had said before it died counts.
  while (take_reports(reports, Clock::now() + patience)) {
    struct pollfd over = {.fd = reports, .events = POLLIN, .revents = 0};
    if (::poll(&over, 1, 0) == 1 && (over.revents & POLLIN) == 0) {
      return true;
    }
  }
  return false;
}

bool SoakSupervisor::compare() {
  auto device = open_device(image_, Access::read_only);
  if (!device) {
    return fail(device.error().text());
  }
  OpenOptions options;
  options.access = Access::read_only;
  const auto store = Store::open(std::move(*device), options);
  if (!store) {
    ++result_.losses;
    return fail("opening to compare: " + store.error().text());
  }
  ++result_.reopenings;
  const std::uint64_t generation = (*store)->info().generation;
  if (generation < acknowledged_generation_) {
    ++result_.losses;
    return fail(fmt::format("generation {} is there, {} was acknowledged", generation,
                            acknowledged_generation_));
  }
  for (unsigned thread = 0; thread < soak_thread_count; ++thread) {
    const Result<SoakState> found = read_soak_state(**store, thread);
    if (!found) {
      ++result_.losses;
      return fail("reading to compare: " + found.error().text());
    }
    if (!compare_thread(thread, *found)) {
      return false;
    }
  }
  return true;
}

/// A thread has one operation at a time, and the threads share no blob. So the image holds one
/// generation if each thread's blobs are as its last acknowledged operation left them, or as the
/// one that it had submitted since would have.
bool SoakSupervisor::compare_thread(unsigned thread, const SoakState& found) {
  ThreadLog& log = threads_.at(thread);
  for (const auto& [name, bytes] : found) {
    result_.bytes_compared += bytes.size();
  }
  const std::optional<std::uint64_t> submitted = std::exchange(log.submitted, std::nullopt);
  const bool as_acknowledged = found == log.acknowledged;
  if (submitted) {
    SoakState next = log.acknowledged;
    apply_operation(soak_operation(options_.seed, thread, *submitted), next);
    if (found == next) {
      result_.unacknowledged_kept += as_acknowledged ? 0 : 1;
      log.acknowledged = std::move(next);
      return true;
    }
    result_.unacknowledged_dropped += as_acknowledged ? 1 : 0;
  }
  if (!as_acknowledged) {
    ++result_.losses;
    return fail(fmt::format("thread {}, operation {}: {}", thread, log.next_number - 1,
                            difference(log.acknowledged, found)));
  }
  return true;
}

bool SoakSupervisor::check() {
  auto device = open_device(image_, Access::read_only);
  if (!device) {
    return fail(device.error().text());
  }
  const Result<CheckReport> report = check_image(**device);
  if (!report || !report->clean()) {
    return fail("check: " +
                (report ? report->problems.front().place + ": " + report->problems.front().what
                        : report.error().text()));
  }
  return result_.kills % command_check_interval != 0 || check_with_command();
}

bool SoakSupervisor::check_with_command() {
  if (options_.check_command.empty()) {
    return true;
  }
  std::string program = options_.check_command;
  std::string command = "check";
  std::string image = image_;
  std::array<char*, 4> arguments = {program.data(), command.data(), image.data(), nullptr};
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  pid_t process = -1;
  const int spawned =
      ::posix_spawn(&process, program.c_str(), &actions, nullptr, arguments.data(), ::environ);
  ::posix_spawn_file_actions_destroy(&actions);
  int status = -1;
  if (spawned != 0 || ::waitpid(process, &status, 0) != process || status != 0) {
    return fail(fmt::format("{} check {} ended with status {}", program, image, status));
  }
  return true;
}

bool SoakSupervisor::fail(std::string what) {
  if (result_.failure.empty()) {
    result_.failure = fmt::format("{} (after {} kills, seed {}; the image is kept: {})", what,
                                  result_.kills, options_.seed, image_);
  }
  return false;
}

void SoakSupervisor::show_progress() {
  if (options_.progress && Clock::now() - shown_ > std::chrono::seconds(10)) {
    shown_ = Clock::now();
    fmt::print(stderr, "{:4} s: {} commits, {} kills, {} reopenings, {} losses\n",
               std::chrono::duration_cast<std::chrono::seconds>(shown_ - begin_).count(),
               result_.commits, result_.kills, result_.reopenings, result_.losses);
  }
}

} // namespace vnvram::test
