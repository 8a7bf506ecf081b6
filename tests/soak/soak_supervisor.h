// Starts the client, kills it at random moments, and compares what is on the image with what it had
// acknowledged.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "soak/soak_client.h"
#include "support/random.h"

namespace vnvram::test {

struct SoakOptions {
  std::string dir = ".";
  std::uint64_t seed = 1;
  std::chrono::seconds length{600};
  std::string check_command; ///< `vnvram`, run now and then on the image; empty: never.
  bool progress = true;
};

struct SoakResult {
  std::uint64_t commits = 0; ///< acknowledged
  std::uint64_t kills = 0;
  std::uint64_t kills_in_opening = 0;
  std::uint64_t kills_in_closing = 0;
  std::uint64_t clean_closes = 0;
  std::uint64_t reopenings = 0;          ///< the client's that succeeded, and one to compare each
  std::uint64_t unacknowledged_kept = 0; ///< submitted, not acknowledged, and there
  std::uint64_t unacknowledged_dropped = 0; ///< the same, and not there
  std::uint64_t bytes_compared = 0;
  std::uint64_t losses = 0;
  std::string failure; ///< What went wrong, if anything did. The image is kept then.
};

class SoakSupervisor {
public:
  explicit SoakSupervisor(SoakOptions options);
  SoakResult run();

private:
  using Clock = std::chrono::steady_clock;
  enum class End { kill_in_opening, kill, close, kill_in_closing };

  /// What is known of one thread of the client.
  struct ThreadLog {
    SoakState acknowledged;
    std::optional<std::uint64_t> submitted; ///< neither acknowledged nor given up
    std::uint64_t next_number = 0;
  };

  bool create();
  /// One life of the client.
  bool run_client();
  void start_client(int& process, int& reports) const;
  bool take_reports(int reports, std::optional<Clock::time_point> until);
  bool take(const SoakReport& report);
  bool end_client(int process, int reports);
  bool compare();
  bool compare_thread(unsigned thread, const SoakState& found);
  bool check();
  bool check_with_command();
  bool fail(std::string what);
  void show_progress();

  const SoakOptions options_;
  const std::string image_;
  Random random_;
  SoakResult result_;
  std::array<ThreadLog, soak_thread_count> threads_;
  std::uint64_t acknowledged_generation_ = 0;
  std::optional<SoakReport::Kind> stage_; ///< How far the client has come.
  Clock::duration opening_time_{std::chrono::milliseconds(5)};
  Clock::time_point begin_;
  Clock::time_point shown_;
};

} // namespace vnvram::test
