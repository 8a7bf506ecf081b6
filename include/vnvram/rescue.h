// What can be done about a damaged image: mend it in place, or get what is sound out of it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "vnvram/block_device.h"
#include "vnvram/export.h"
#include "vnvram/key.h"
#include "vnvram/key_ring.h"
#include "vnvram/open_device.h"
#include "vnvram/result.h"

namespace vnvram {

/// Called now and then with bytes done and to do.
using RescueProgress = std::function<void(std::uint64_t done_bytes, std::uint64_t all_bytes)>;

/// A block that is damaged, and what became of it.
struct RepairFinding {
  std::string place; ///< e.g. "home page 12, slot 1 (block 552)".
  std::string what;  ///< How it was mended, or why it could not be.
  bool mended = false;
};

struct RepairReport {
  std::vector<RepairFinding> findings;
  /// True: nothing is damaged any more, as far as an image can tell.
  bool sound = true;
};

/// Mends what can be mended without loss, in place: a superblock copy that is lost; a block of the
/// table or the homes, or a ring record, of which one bit has flipped; a block that its older copy
/// and the records that the ring still holds make again. A block is written only if its content is
/// proven by the checksum that vouches for it, so that a repair never changes what sound parts say.
/// Whatever is beyond that is left as it is, for salvage_image. With `dry_run` nothing is written
/// and no lock taken.
/// On success what is reported as mended is durable. A repair that is cut off can be started again.
/// Errors: blank, foreign, too_new, in_use, io, read_only; corrupt if neither superblock can be
/// mended: nothing else can then.
VNVRAM_API Result<RepairReport> repair_image(BlockDevice& device, bool dry_run = false,
                                             const RescueProgress& progress = {},
                                             const KeyRing& keys = {});

/// Drops a commit that was on its way when the device's content was put back to an earlier state,
/// and arrived afterwards: one whole record behind a gap in the ring. Only for an operator who
/// knows that this is what happened: a ring that is damaged in its middle can look the same if it
/// holds one record behind the damage. With `dry_run` nothing is written and no lock taken. What is
/// dropped is in the report, and durable. Errors: blank, foreign, too_new, in_use, io, read_only;
/// corrupt if the ring is damaged in another way, and nothing has changed then.
VNVRAM_API Result<RepairReport> discard_stray_record(BlockDevice& device, bool dry_run = false,
                                                     const KeyRing& keys = {});

struct SalvagedBlob {
  std::string name;
  std::string type;
  bool saved = false;
  /// Of the content that was saved; 0: never written.
  std::uint64_t generation = 0;
  /// The newest that the image is known to have had. Larger than `generation`: what was saved is an
  /// older version, whole.
  std::uint64_t newest_generation = 0;
  std::string why; ///< Why it is lost, or why an older one was taken; empty: it is the newest.
};

struct SalvageReport {
  std::vector<SalvagedBlob> blobs;
  /// The newest generation that could be read, of the whole image.
  std::uint64_t generation = 0;
  /// What hits the image as a whole, e.g. a ring that is damaged in its middle: blobs may have had
  /// newer versions that nothing tells of.
  std::vector<std::string> notes;
  bool sealed = false; ///< The new image is.
  /// Every blob is there, at its newest version, and there are no notes.
  [[nodiscard]] bool complete() const;
};

struct SalvageOptions {
  /// Of the new image; 0: as large as what there is of the damaged one, or as its blobs need.
  std::uint64_t size_bytes = 0;
  /// Write over what is at `out_path`.
  bool force = false;
  /// Leave the seal of a damaged image off: the operator's word that its state goes on here and
  /// nowhere else. Without it the new image of a sealed one is sealed, as Store::seal() does it.
  bool unseal = false;
  /// Format and key of the new image: see create_image_file().
  DeviceOptions device = {};
  /// Opens the damaged image.
  KeyRing keys = {};
  /// Of an encrypted image a plain one is made only by who says so.
  bool decrypt = false;
  /// Of the new image: see CreateOptions. It is plain without either.
  std::vector<NewKeySlot> key_slots = {};
  std::vector<std::byte> data_key = {};
};

/// Reads a damaged image, also one of which the end is missing, and makes a new one at `out_path`
/// with every blob that is intact, each at its newest intact version, with its type, sizes,
/// producer and attributes. A blob is saved whole, as of one generation, or not at all; one that is
/// lost is not registered in the new image, so that nobody takes it for one that was never written.
/// The damaged image is only read. Errors: invalid_argument (it is encrypted, the new one would not
/// be, and `decrypt` does not say so); as create_image_file() for the new image; blank,
/// foreign, too_new; stale if its owner changes it; corrupt if nothing can be saved. None is made.
VNVRAM_API Result<SalvageReport> salvage_image(BlockDevice& damaged, const std::string& out_path,
                                               const SalvageOptions& options = {},
                                               const RescueProgress& progress = {});

} // namespace vnvram
