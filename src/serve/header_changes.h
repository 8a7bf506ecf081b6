// What is changed in an open image beside its blobs: public metadata, key slots and the data key.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "owner/image_keeper.h"
#include "vnvram/public_metadata.h"

namespace vnvram {

/// What is said of the slots.
struct RotatedSlots {
  std::vector<std::string> left_out;
  std::vector<std::string> opens;
};

struct RotationProgress {
  std::uint64_t done_bytes = 0;
  std::uint64_t all_bytes = 0; ///< 0: it has just begun.
};

/// Threads: all calls may come from any thread; one is carried out after the other.
class HeaderChanges {
public:
  explicit HeaderChanges(ImageKeeper& keeper) : keeper_(keeper) {}

  /// Errors: absent (no image is attached), and those of read_public_metadata().
  Result<PublicMetadata> metadata();
  /// nullopt takes it away. Durable on return. Errors: those of set_public_metadata(), absent;
  /// not_found.
  Status change_metadata(std::string_view name, const std::optional<std::string>& value);
  /// See Store::rotate_data_key(): with the keys that the image was opened with.
  /// `progress` is called, too.
  Result<RotatedSlots> rotate_data_key(const KeyRotation& rotation);
  /// How far that has come; nothing: it is not under way. Waits for nobody.
  [[nodiscard]] std::optional<RotationProgress> rotation_under_way() const;
  /// Errors: absent, and those of list_key_slots().
  Result<std::vector<KeySlotInfo>> key_slots();
  /// Those of Store. Errors: absent, too.
  Status check_key_slot(std::optional<unsigned> number);
  Result<KeySlotInfo> add_key_slot(const KeySlotOffer& offer, const KeyOfferReceiver& receiver);
  Result<KeySlotInfo> change_key_slot(unsigned number, const KeySlotOffer& offer,
                                      const KeyOfferReceiver& receiver);
  Status remove_key_slot(unsigned number, bool allow_last);

private:
  class RunningRotation;
  /// Not while changes are held: who has asked may be gone when they are released.
  Result<StoreUse> begin();

  ImageKeeper& keeper_;
  std::mutex mutex_;
  mutable std::mutex rotation_mutex_; ///< Of the next only, and the last that is taken.
  std::optional<RotationProgress> rotation_;
};

} // namespace vnvram
