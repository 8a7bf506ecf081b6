// What opens encrypted images.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "vnvram/export.h"
#include "vnvram/key.h"

namespace vnvram {

struct KeyRingState;

/// Keys to be tried on an encrypted image, one after the other. It remembers which data key it has
/// found, so that an image that is opened again is not asked for its slots again. Keys are
/// overwritten in memory when the last copy of a ring goes.
///
/// A value: copies share what they hold. Threads: any number may use one.
class VNVRAM_API KeyRing {
public:
  /// Without a key: it opens plain images.
  KeyRing();
  /// What is tried on an image's key slots, in this order, when one is opened.
  explicit KeyRing(std::vector<KeySource> sources);
  void add(KeySource source);
  /// For who keeps an image's data key himself (32 bytes): no key slot is asked.
  static KeyRing of_data_key(std::span<const std::byte> data_key);

  /// Reads what can be read without asking anybody: for a process that may open nothing later. What
  /// cannot be read now is said when it is needed.
  void read_ahead();
  /// From now on a command (exec:) opens only slots that it has been run for already; others are an
  /// error (unsupported), unless another key opens the image: for a process that may start nothing
  /// later.
  void run_no_more_commands();
  /// From now on it is no obstacle that an image is not encrypted. Without this a plain image is
  /// refused (wrong_key) where there is a key: whoever can write to the device could have put it
  /// there.
  void accept_plain();

  [[nodiscard]] bool empty() const;

  /// The library's own.
  [[nodiscard]] KeyRingState& state() const { return *state_; }

private:
  std::shared_ptr<KeyRingState> state_;
};

} // namespace vnvram
