// The engine. What it upholds (docs/design.md, "Invariants"), each with a test that names it:
//
//   1. An acknowledged commit survives any power cut.
//   2. After any cut the state is exactly that of some generation, never older than the last
//      acknowledged one.
//   3. Several blobs of one transaction are all there, or none.
//   4. Recovery may be cut at any point, any number of times.
//   5. A damaged byte is noticed before it is returned.
//   6. No path but create writes to an image that is not ours.
//   7. Two owners never both succeed in committing on a device that can lock.
//   8. What is on the image is a prefix of the deferred writes, in the order of their calls and
//      each whole, with every commit behind those that were taken before it; never without one
//      that was taken before a flush, a commit or a close that has succeeded.
//   9. Of an encrypted image nobody without its key reads a blob's content, name or size, and no
//      forged, moved or older block of it is accepted.
//  12. Where an anchor is used, an image that is older than it, or of another branch, is refused.
//
// How: a commit is one contiguous durable write of a self-checking record, chained to the one
// before, one in flight at a time. A checkpoint writes pages, leaves and index to the slots that
// the current superblock does not point to, flushes, then makes the other superblock durable; only
// then is ring space free again. Opening for writing flushes what it recovered and starts a new
// epoch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "format/superblock.h"
#include "store/anchor_keeper.h"
#include "store/blob_reader.h"
#include "store/checkpointer.h"
#include "store/committer.h"
#include "store/completions.h"
#include "store/deferral.h"
#include "store/header_area_changes.h"
#include "store/image_growth.h"
#include "store/key_exchange.h"
#include "store/owner_check.h"
#include "store/sealing.h"
#include "store/shared_state.h"
#include "store/superblock_writer.h"
#include "vnvram/store.h"

namespace vnvram {

/// An open image, put together from its parts. It hands each call to the one that it is about.
/// More than 30 methods: there is one for each call of Store's, and the parts do the work.
/// Threads: as Store's. Those of its own belong to the parts: the checkpointer's, the deferral's
/// alarm, the commit queue's and the completions'.
class Engine {
public:
  using CommitCallback = Store::CommitCallback;

  static Result<std::unique_ptr<Engine>> open(std::unique_ptr<BlockDevice> device,
                                              OpenOptions options);
  /// An engine on a device whose image does not exist yet: nothing points to what it writes until
  /// close() makes the first superblock durable. The device is locked, and blank.
  static Result<std::unique_ptr<Engine>> create(std::unique_ptr<BlockDevice> device,
                                                const format::Superblock& superblock,
                                                format::Codec codec, OpenOptions options);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  Status register_blobs(std::span<const BlobSpec> specs);
  Status register_blobs(std::span<const NewBlob> blobs);
  Status remove_blob(std::string_view name);
  Result<std::vector<std::byte>> read(std::string_view name);
  Status read_range(std::string_view name, std::uint64_t offset_bytes, std::span<std::byte> bytes);
  Status commit(const Transaction& transaction);
  void commit_async(Transaction transaction, CommitCallback callback);
  Status write_range_deferred(std::string_view name, std::uint64_t offset_bytes,
                              std::span<const std::byte> bytes);
  Status zero_range_deferred(std::string_view name, std::uint64_t offset_bytes,
                             std::uint64_t length_bytes);
  Status flush();
  [[nodiscard]] Completions& completions() { return completions_; }
  std::vector<BlobInfo> blobs() const;
  Result<BlobInfo> blob(std::string_view name) const;
  StoreInfo info() const;
  [[nodiscard]] AnchorPoint image_point() const { return anchor_.image_point(); }
  [[nodiscard]] BlockDevice& device() { return *state_.device; }
  [[nodiscard]] const format::Geometry& geometry() const { return state_.geometry; }
  StoreCounters counters() const;
  Status checkpoint();
  /// See ImageGrowth.
  Status grow(std::uint64_t image_block_count, std::uint64_t device_size_bytes) {
    return growth_.grow(image_block_count, device_size_bytes);
  }
  Status seal(const HandOverNumber& hand_over);
  Status unseal();
  Result<std::vector<KeySlotInfo>> rotate_data_key(const KeyRotation& rotation);
  Status check_key_slot(std::optional<unsigned> number);
  Result<KeySlotInfo> add_key_slot(const KeySlotOffer& offer, const KeyOfferReceiver& receiver);
  Result<KeySlotInfo> change_key_slot(unsigned number, const KeySlotOffer& offer,
                                      const KeyOfferReceiver& receiver);
  Status remove_key_slot(unsigned number, bool allow_last);
  Status set_metadata(std::string_view name, const std::optional<std::string>& value);
  Status adopt_after_fork();
  Result<bool> is_current();
  Status close();
  /// Closes without a last checkpoint: nothing more is written.
  void abandon();
  /// As abandon(). Afterwards only the destructor may be called.
  std::unique_ptr<BlockDevice> give_up_device();

private:
  friend class EngineOpener;

  Engine(std::unique_ptr<BlockDevice> device, const format::Superblock& superblock,
         format::Codec codec, OpenOptions options);

  Result<bool> compare_with_device();
  /// The blobs find room in the directory, a copy: if need be, and if it may be, the image has
  /// grown then.
  Status make_room_for(std::span<const BlobSpec> specs, Directory& directory);

  SharedState state_;
  OwnerCheck owner_;
  SuperblockWriter superblocks_;
  Checkpointer checkpointer_;
  ImageGrowth growth_;
  AnchorKeeper anchor_;
  Completions completions_;
  Committer committer_;
  BlobReader reader_;
  Sealing sealing_;
  std::mutex header_area_mutex_; ///< Held by who changes it, during I/O as well.
  KeyExchange key_exchange_;
  HeaderAreaChanges header_area_;
  bool closed_ = false;
  Deferral deferral_; // The last member: its thread uses all others.
};

} // namespace vnvram
