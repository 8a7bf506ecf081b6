// Another data key for an open image: all of it is sealed anew.
#pragma once

#include <span>
#include <vector>

#include "base/uuid.h"
#include "format/key_slot.h"
#include "keys/keyed_image.h"
#include "store/anchor_keeper.h"
#include "store/checkpointer.h"
#include "store/committer.h"
#include "store/owner_check.h"
#include "store/shared_state.h"
#include "vnvram/key_rotation.h"

namespace vnvram {

/// While it lasts, key slots open both data keys, and a superblock names the one that is in use:
/// the image opens whenever it is cut. Commits wait meanwhile; reads go on.
///
/// Threads: all calls may come from any thread, beside commits; not two at once.
class KeyExchange {
public:
  KeyExchange(SharedState& state, OwnerCheck& owner, Committer& committer,
              Checkpointer& checkpointer, AnchorKeeper& anchor)
      : state_(state), owner_(owner), committer_(committer), checkpointer_(checkpointer),
        anchor_(anchor) {}

  /// See Store::rotate_data_key().
  Result<std::vector<KeySlotInfo>> run(const KeyRotation& rotation);

private:
  struct NewKey {
    SecretBytes data_key;
    std::shared_ptr<const format::ImageKeys> keys;
  };
  Result<NewKey> make_key() const;
  [[nodiscard]] std::vector<KeySource> own_keys() const;
  /// Key slots open both. Returns those that will be left out.
  Result<format::KeySlots> wrap(const KeyedImage& image, std::span<const std::byte> data_key,
                                const NewKey& key, const KeyRotation& rotation);
  /// Key slots open the new one only.
  Status drop_old_wraps(const KeyedImage& image);
  /// The rest, when key slots open both. The old data key's are gone afterwards.
  Status exchange(const Uuid& uuid, const NewKey& key, const KeyRotation& rotation);
  Status seal_anew(const NewKey& key, const KeyRotation& rotation);
  Status take_all_pages(const KeyRotation& rotation);
  Status overwrite_what_was(const KeyRotation& rotation);
  Status overwrite_ring(const KeyRotation& rotation);
  /// So many passes over the page space are behind it, and of the next one so much.
  void tell(const KeyRotation& rotation, unsigned passes, std::uint64_t done_bytes) const;

  SharedState& state_;
  OwnerCheck& owner_;
  Committer& committer_;
  Checkpointer& checkpointer_;
  AnchorKeeper& anchor_;
};

} // namespace vnvram
