// How fast an image is read by a command that copies it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/system_clock.h"
#include "cli/end_request.h"
#include "serve/token_bucket.h"

namespace vnvram::cli {

/// So that what is read stays below a rate; but not while somebody waits for it, nor what is read
/// again because its owner has changed it, which would be changed again meanwhile.
class CopyPace {
public:
  CopyPace(std::uint64_t bytes_per_second, EndRequest& end)
      : bucket_(bytes_per_second), end_(end) {}

  void hurry(bool hurries) { hurries_ = hurries; }
  /// Before each reading. Error: the command is to end.
  Status keep(std::size_t size_bytes) {
    if (!hurries_) {
      bucket_.take(size_bytes, clock_.now());
      while (const auto until = bucket_.empty_until(clock_.now())) {
        if (Status waited = end_.wait_until(*until); !waited) {
          return waited;
        }
      }
    }
    return end_.wait_until(clock_.now());
  }

private:
  SystemClock clock_;
  TokenBucket bucket_;
  EndRequest& end_;
  bool hurries_ = false;
};

} // namespace vnvram::cli
