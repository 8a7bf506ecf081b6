// Whether the image is still this store's, asked by whoever is about to write to it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "store/owner_watch.h"
#include "store/shared_state.h"

namespace vnvram {

/// The owner watch's judgement, against the superblock that the store knows to be on the device,
/// and what follows from it: a store that has lost its image is poisoned.
///
/// Threads: all calls may come from any; put_record() from the one that leads a commit.
class OwnerCheck {
public:
  explicit OwnerCheck(SharedState& state);

  [[nodiscard]] OwnerWatch& watch() { return watch_; }
  /// Until `opens` is false again a look also finds what the owner before has written meanwhile.
  void opens(bool opens) { opens_ = opens; }
  /// Poisons if the image is not ours any more; not to know is an error, and no more.
  Status look();
  /// A commit's record, durably, and the image is still ours: nobody is answered before both are
  /// known. Poisons if one is not so.
  Status put_record(std::uint64_t offset_bytes, std::span<const std::byte> record);

private:
  [[nodiscard]] format::Superblock own_superblock() const;
  [[nodiscard]] Error with_who_has_it(const Error& refused);

  SharedState& state_;
  OwnerWatch watch_;
  bool opens_ = false; ///< Fixed once the store is open.
};

} // namespace vnvram
