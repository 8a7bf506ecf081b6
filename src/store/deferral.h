// Takes writes that are answered before they are durable, and commits them when they are due.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/alarm_clock.h"
#include "store/committer.h"
#include "store/pinned_range.h"
#include "store/shared_state.h"

namespace vnvram {

/// Collected in memory, seen by readers, and put at the head of the next record, which is written
/// when the oldest of them is as old as it may be, when someone asks, or when there is no room for
/// more.
///
/// Threads: write() and zero() may come from any thread; stop() ends the alarm's, which commits
/// what is due.
class Deferral {
public:
  Deferral(SharedState& state, Committer& committer);

  Status write(std::string_view name, std::uint64_t offset_bytes, std::span<const std::byte> bytes);
  Status zero(std::string_view name, std::uint64_t offset_bytes, std::uint64_t length_bytes);
  /// Nothing is committed by itself any more.
  void stop() { alarm_.stop(); }

private:
  struct Write {
    std::string_view name;
    std::uint64_t offset_bytes = 0;
    std::uint64_t length_bytes = 0;
    std::optional<std::span<const std::byte>> bytes = std::nullopt; ///< Not set: zeros.
  };
  /// What has become of a write.
  enum class Fate {
    collected,
    not_readable,  ///< Yet: pages that it changes were loaded just now.
    without_room,  ///< Until what is collected is on its way.
    without_alarm, ///< No thread can be started that would commit it.
  };
  /// Collects it as soon as there is room for it; else it is a commit.
  Status defer(const Write& write);
  Result<Fate> try_to_collect(const Write& write, PinnedRange& pinned);
  Result<Fate> collect(const Write& write); // Needs the mutex.
  Status commit(const Write& write);
  [[nodiscard]] bool set_alarm();
  void commit_overdue();

  SharedState& state_;
  Committer& committer_;
  AlarmClock alarm_; // The last member: its thread uses all others.
};

} // namespace vnvram
