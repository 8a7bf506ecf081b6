#include "cli/progress.h"

#include <algorithm>
#include <cstdio>
#include <fmt/core.h>
#include <unistd.h>
#include <utility>

namespace vnvram::cli {
namespace {

constexpr std::chrono::milliseconds interval(200);
constexpr std::chrono::seconds patience(1);
constexpr std::uint64_t shown_size_min_bytes = std::uint64_t{64} << 20U;

} // namespace

Progress::Progress(std::string what)
    : what_(std::move(what)), terminal_(::isatty(STDERR_FILENO) == 1) {}

void Progress::clear() {
  if (std::exchange(shown_, false)) {
    std::fputs("\r\x1b[K", stderr);
  }
}

void Progress::show(std::uint64_t done_bytes, std::uint64_t all_bytes) {
  const auto now = std::chrono::steady_clock::now();
  const bool is_worth_it = all_bytes >= shown_size_min_bytes || now - began_ >= patience;
  if (!terminal_ || !is_worth_it || (shown_ && now - last_ < interval)) {
    return;
  }
  last_ = now;
  shown_ = true;
  const double share = static_cast<double>(done_bytes) / static_cast<double>(all_bytes);
  const std::string line =
      fmt::format("\r{}: {:3.0f} %\x1b[K", what_, std::min(share, 1.0) * 100.0);
  std::fputs(line.c_str(), stderr);
}

} // namespace vnvram::cli
