// One image that two hosts reach, and a machine that goes from one of them to the other.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace vnvram {

/// Tells one hand-over of an image from all others of it. Whoever hands over sees to it that it is
/// new, and that it gets to the other host together with the machine's state and in no other way.
/// Zero: none.
struct HandOverNumber {
  std::array<std::byte, 16> bytes{};
  [[nodiscard]] bool is_none() const { return bytes == std::array<std::byte, 16>{}; }
  friend bool operator==(const HandOverNumber&, const HandOverNumber&) = default;
};

/// Of one opening for writing of one image, and of no other.
struct OwnerEpoch {
  std::uint64_t number = 0;
  std::uint64_t random = 0;
  friend bool operator==(const OwnerEpoch&, const OwnerEpoch&) = default;
};

/// Which image an owner may open who goes on with a machine: as it was left for him, or nobody's
/// since. It is looked at before its lock is taken, and again behind that.
struct GoOn {
  /// It is sealed for this hand-over, whoever has begun an epoch since: he has not taken the seal
  /// off, and finds that the image is not his any more.
  std::optional<HandOverNumber> hand_over = std::nullopt;
  /// It is not sealed, and nobody has begun an epoch behind this one: for who has let the image go
  /// and takes it back.
  std::optional<OwnerEpoch> own_epoch = std::nullopt;
  friend bool operator==(const GoOn&, const GoOn&) = default;
};

} // namespace vnvram
