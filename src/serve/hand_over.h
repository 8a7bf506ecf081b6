// Whether the machine's state goes on elsewhere.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <set>

namespace vnvram {

/// The word of those devices that know (a TPM whose state QEMU has fetched), and which others are
/// in use still. What is to be sealed is sealed by whoever finds it due. Threads: any.
class HandOver {
public:
  /// A device of the machine is in use through the session, or is not any more.
  void begin_use(std::uint64_t session);
  void end_use(std::uint64_t session);
  [[nodiscard]] bool uses(std::uint64_t session) const;

  /// The state of the session's device was handed over. That outlasts the session.
  void say(std::uint64_t session);
  /// The machine of the session's device goes on here. Another device that has handed over, and is
  /// there still, has its own word to take back; whoever is no device speaks for all of them.
  void take_back(std::uint64_t session);
  /// It is said to come from elsewhere, until it goes on here.
  void expect() { is_expected_ = true; }
  [[nodiscard]] bool is_expected() const { return is_expected_; }
  void has_come() { is_expected_ = false; }
  [[nodiscard]] bool was_said() const;
  /// It was said, and by all that are in use.
  [[nodiscard]] bool is_due() const;

private:
  mutable std::mutex mutex_;
  std::set<std::uint64_t> in_use_;
  std::set<std::uint64_t> said_by_;
  std::atomic<bool> is_expected_ = false;
};

} // namespace vnvram
