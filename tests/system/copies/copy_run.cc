#include "copies/copy_run.h"

#include <array>
#include <cerrno>
#include <chrono>
#include <memory>
#include <system_error>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <fmt/core.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/unique_fd.h"
#include "device/memory_device.h"

namespace vnvram::test {
namespace {

constexpr std::uint64_t image_size_bytes = std::uint64_t{4} << 20U;
constexpr std::uint64_t ring_size_bytes = std::uint64_t{1} << 20U;
constexpr std::size_t step_size_bytes = std::size_t{64} << 10U;
// Between two copies: some commits, and a part of one.
constexpr std::uint64_t commits_between_max = 8;
constexpr std::uint64_t microseconds_between_max = 300;

[[noreturn]] void give_up(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

UniqueFd open_file(const std::string& path, int flags) {
  UniqueFd fd(::open(path.c_str(), flags | O_CLOEXEC, 0600));
  if (!fd.valid()) {
    give_up(path);
  }
  return fd;
}

/// Copies what is left of a file, at most one step of it. False: nothing is left.
bool copy_step(const UniqueFd& from, const UniqueFd& to) {
  std::array<char, step_size_bytes> bytes{};
  const ssize_t count = ::read(from.get(), bytes.data(), bytes.size());
  if (count < 0 || ::write(to.get(), bytes.data(), static_cast<std::size_t>(count)) != count) {
    give_up("copying");
  }
  return count > 0;
}

/// The bytes of a file, as a disk in memory: the recovery of a thousand copies need not wait for
/// flushes.
std::shared_ptr<MemoryDisk> disk_of(const std::string& path) {
  const UniqueFd file = open_file(path, O_RDONLY);
  std::vector<std::byte> bytes(image_size_bytes);
  if (::read(file.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) {
    give_up(path);
  }
  return std::make_shared<MemoryDisk>(std::move(bytes));
}

/// Opens the image, compares everything in it, and closes it.
Result<PayloadFound> payload_in(const std::shared_ptr<MemoryDisk>& disk, Access access) {
  OpenOptions options;
  options.access = access;
  auto store = Store::open(std::make_unique<MemoryDevice>(disk, access), std::move(options));
  if (!store) {
    return store.error();
  }
  Result<PayloadFound> found = read_payload(**store);
  if (const Status closed = (*store)->close(); found && !closed) {
    return closed.error();
  }
  return found;
}

} // namespace

CopyRun::CopyRun(CopyOptions options)
    : options_(std::move(options)), image_(options_.dir + "/live.vnvram"),
      copy_(options_.dir + "/copy.vnvram"), random_(options_.seed) {}

CopyResult CopyRun::run() {
  if (!create()) {
    return result_;
  }
  Committer committer(image_);
  bool good = committer.wait_acknowledged(1) || fail("the committer failed at its start");
  while (good && result_.copies < options_.count) {
    good = copy_and_look(committer);
  }
  result_.commits = committer.acknowledged();
  if (good && !committer.end()) {
    fail("the committer failed");
  }
  return result_;
}

bool CopyRun::create() {
  CreateOptions create;
  create.ring_size_bytes = ring_size_bytes;
  for (const BlobSpec& spec : payload_blobs()) {
    create.blobs.push_back({spec});
  }
  const Status created = create_image_file(image_, image_size_bytes, create);
  return created.ok() || fail("create: " + created.error().text());
}

bool CopyRun::copy_and_look(Committer& committer) {
  const std::uint64_t commits = 1 + random_.below(commits_between_max);
  if (!committer.wait_acknowledged(committer.acknowledged() + commits)) {
    return fail("the committer does not go on");
  }
  std::this_thread::sleep_for(std::chrono::microseconds(random_.below(microseconds_between_max)));
  const std::uint64_t at_least = committer.acknowledged();
  if (!copy(committer)) {
    return fail("the committer does not go on");
  }
  ++result_.copies;
  if (committer.acknowledged() > at_least) {
    ++result_.overlaps;
  }
  return look(at_least, committer.submitted());
}

bool CopyRun::copy(Committer& committer) {
  if (options_.mode == CopyMode::slow) {
    return copy_slowly(committer);
  }
  const UniqueFd from = open_file(image_, O_RDONLY);
  const UniqueFd to = open_file(copy_, O_WRONLY | O_CREAT | O_TRUNC);
  if (options_.mode == CopyMode::reflink) {
    if (::ioctl(to.get(), FICLONE, from.get()) != 0) {
      give_up("FICLONE");
    }
    return true;
  }
  if (!committer.pause()) {
    return false;
  }
  while (copy_step(from, to)) {
  }
  committer.go_on();
  return true;
}

/// At least one commit is acknowledged between two steps.
bool CopyRun::copy_slowly(Committer& committer) const {
  const UniqueFd from = open_file(image_, O_RDONLY);
  const UniqueFd to = open_file(copy_, O_WRONLY | O_CREAT | O_TRUNC);
  while (copy_step(from, to)) {
    if (!committer.wait_acknowledged(committer.acknowledged() + 1)) {
      return false;
    }
  }
  return true;
}

bool CopyRun::look(std::uint64_t at_least, std::uint64_t at_most) {
  const std::shared_ptr<MemoryDisk> disk = disk_of(copy_);
  MemoryDevice device(disk, Access::read_only);
  const Result<CheckReport> report = check_image(device);
  std::string problem;
  if (!report) {
    problem = report.error().text();
  } else if (!report->clean()) {
    problem = report->problems.front().place + ": " + report->problems.front().what;
  }
  // Also where check has found something: what is handed out all the same must be right.
  for (const Access access : {Access::read_only, Access::read_write}) {
    const Result<PayloadFound> found = payload_in(disk, access);
    if (!found) {
      problem += (problem.empty() ? "" : "; ") + found.error().text();
    } else if (!compare(*found, at_least, at_most)) {
      return false;
    }
  }
  if (!problem.empty()) {
    return refuse(problem);
  }
  ++result_.exact;
  return true;
}

bool CopyRun::compare(const PayloadFound& found, std::uint64_t at_least, std::uint64_t at_most) {
  if (!found.mixture.empty()) {
    return fail(found.mixture);
  }
  return (found.number >= at_least && found.number <= at_most) ||
         fail(fmt::format("the copy is at commit {}; acknowledged before it was {}, submitted "
                          "after it was {}",
                          found.number, at_least, at_most));
}

bool CopyRun::refuse(const std::string& why) {
  ++result_.refused;
  return options_.mode == CopyMode::slow || fail("the copy is damaged: " + why);
}

bool CopyRun::fail(const std::string& what) {
  if (result_.failure.empty()) {
    result_.failure =
        fmt::format("{} (copy {}, seed {}; kept: {})", what, result_.copies, options_.seed, copy_);
  }
  return false;
}

} // namespace vnvram::test
