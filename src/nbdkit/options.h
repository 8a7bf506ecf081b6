// What the plugin was told on nbdkit's command line.
#pragma once

#include <chrono>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "service/sandbox.h"
#include "vnvram/anchor.h"
#include "vnvram/key_ring.h"
#include "vnvram/open_device.h"
#include "vnvram/result.h"
#include "vnvram/space.h"
#include "vnvram/take_over.h"

namespace vnvram::nbdkit {

inline constexpr std::chrono::microseconds sync_max = std::chrono::seconds(60);
inline constexpr std::chrono::microseconds reconnect_max = std::chrono::hours(24);

struct Options {
  std::string image;
  DeviceOptions device;
  SpacePolicy space = SpacePolicy::reserve;
  bool reserve = false;               ///< See ImageKeeper::Setup.
  std::optional<OwnerWord> take_over; ///< See ImageKeeper::Opening.
  KeyRing keys;                       ///< What opens an encrypted image.
  std::string anchor;                 ///< See open_anchor(); empty: none.
  std::optional<AnchorPolicy> anchor_policy;
  std::chrono::microseconds sync{10000}; ///< 0: each write is durable before it is answered.
  /// How long a request waits for an owner that has ended.
  std::chrono::microseconds reconnect = std::chrono::seconds(30);
  std::vector<std::string> exports; ///< Only these; empty: all blobs.
  std::set<std::string, std::less<>> read_only;
  /// What a system call does that serving an owner's blobs does not need; none: nothing is given
  /// up.
  std::optional<Seccomp> seccomp;

  /// One KEY=VALUE. Errors: invalid_argument.
  Status set(std::string_view key, std::string_view value);
  /// For an image that another process owns: what it alone decides must not be asked for. Errors:
  /// invalid_argument.
  [[nodiscard]] Status check_for_owner() const;
  /// For one that is opened here: what is about another owner, or for its sessions only, must not
  /// be asked for. Errors: invalid_argument.
  [[nodiscard]] Status check_for_own_image() const;

private:
  Status add_key(std::string_view text);
  Status set_take_over(std::string_view value);
  Status set_sync(std::string_view value);
  Status set_reconnect(std::string_view value);
  Status set_seccomp(std::string_view value);

  std::set<std::string, std::less<>> of_the_owner_; ///< Such keys that were given.
  std::set<std::string, std::less<>> of_a_session_;
};

} // namespace vnvram::nbdkit
