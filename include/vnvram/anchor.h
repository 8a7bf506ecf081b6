// Anchors: what the newest state of an image is, kept outside the image.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "vnvram/block_device.h"
#include "vnvram/error.h"
#include "vnvram/export.h"
#include "vnvram/key_ring.h"
#include "vnvram/result.h"

namespace vnvram {

/// One state of one image. The same of an image that is looked at, with what is next, and
/// each_commit, unset.
struct AnchorPoint {
  std::array<std::byte, 16> uuid{};
  std::uint64_t epoch_number = 0;
  std::uint64_t epoch_random = 0; ///< Each opening for writing has another one.
  std::uint64_t generation = 0;
  std::uint64_t chain = 0; ///< What the next record names as its predecessor.
  bool sealed = false;     ///< Its state was handed over: see Store::seal().
  /// Of an opening that has begun: the epoch_random that its epoch has, or will not have come to.
  /// 0: none.
  std::uint64_t next_epoch_random = 0;
  /// It is written for each commit, so the image is one ahead of it at most.
  bool each_commit = false;
  /// Which data key the image is sealed with; zero: it is plain. Whoever has an older one could
  /// make any state with it.
  std::array<std::byte, 16> key_id{};
  /// Of an exchange of the data key that has begun: the new one, or zero.
  std::array<std::byte, 16> next_key_id{};

  friend bool operator==(const AnchorPoint&, const AnchorPoint&) = default;
};

/// One line of JSON, without its end.
[[nodiscard]] VNVRAM_API std::string anchor_text(const AnchorPoint& point);
/// Of such a line, whoever wrote it: exactly these members, each of its kind. Errors: corrupt.
VNVRAM_API Result<AnchorPoint> parse_anchor(std::string_view text);

/// Where a point is kept. A program can bring one of its own: whatever keeps a line, keeps it when
/// the image is put back to an earlier state, and is not in the hands of who could put it back.
///
/// Threads: one call at a time.
class VNVRAM_API Anchor {
public:
  Anchor() = default;
  Anchor(const Anchor&) = delete;
  Anchor& operator=(const Anchor&) = delete;
  virtual ~Anchor() = default;

  /// For messages.
  [[nodiscard]] virtual std::string name() const = 0;
  /// Of the one that writes it from now on; harmless again. Errors: in_use, if that can be told.
  virtual Status lock() = 0;
  virtual void unlock() = 0;
  /// What was last written; nullopt: nothing ever was. Errors: io, corrupt, foreign.
  virtual Result<std::optional<AnchorPoint>> read() = 0;
  /// Durable on return; cut off in the middle, the old point is there or the new one. Errors: io,
  /// no_space, read_only, stale (it is not there any more).
  virtual Status write(const AnchorPoint& point) = 0;
};

/// When the store writes its anchor, beside each opening for writing and each change of the seal.
struct AnchorPolicy {
  enum class Moment {
    open,   ///< When it is closed in good order.
    every,  ///< And when something was committed, and was not anchored for `period`.
    commit, ///< For each commit: record, anchor, answer.
  };
  Moment moment = Moment::commit;
  std::chrono::seconds period{0};
};

/// Of `open`, `every=SECONDS` (1 ... 86400) or `commit`. Errors: invalid_argument.
VNVRAM_API Result<AnchorPolicy> parse_anchor_policy(std::string_view text);

/// `file:PATH`, or `exec:COMMAND`, which is started now, by /bin/sh, and runs as long as the anchor
/// is there. The file need not be there; the first write() makes it. What is opened here is all
/// that is needed later: a process may then give up the right to open files and start programs.
/// Errors: invalid_argument, foreign (the file is something else, or a symbolic link), io.
VNVRAM_API Result<std::shared_ptr<Anchor>> open_anchor(std::string_view text);

/// What an image is beside its anchor.
enum class AnchorVerdict {
  at_anchor,
  missing,       ///< The anchor holds nothing, or nothing that can be read.
  another_image, ///< Of another uuid.
  rolled_back,   ///< Older than the anchor.
  forked,        ///< It was written to without the anchor: a copy that went on, or it itself.
  ahead,         ///< By more commits than a cut leaves.
};

/// A stable word with hyphens, e.g. "rolled-back".
[[nodiscard]] VNVRAM_API std::string_view verdict_name(AnchorVerdict verdict);

struct AnchorComparison {
  AnchorVerdict verdict = AnchorVerdict::missing;
  AnchorPoint image;
  std::optional<AnchorPoint> anchored;
  /// Why the image is refused, with both generations and the remedy; nullopt at its anchor.
  std::optional<std::string> reason;
  /// Why what the anchor holds cannot be read (corrupt): of AnchorUse::accept, which overwrites it.
  std::optional<Error> unreadable = {};
};

/// How a store uses an anchor.
struct AnchorUse {
  std::shared_ptr<Anchor> anchor = nullptr; ///< nullptr: none.
  AnchorPolicy policy = {};
  /// Not empty: an operator's word that this image is the one to go on with, whatever its anchor
  /// says, and is the anchored one from now on. Called before anything is written to it, with the
  /// image's lock; its errors are those of the opening.
  std::function<Status(BlockDevice& device, const AnchorComparison& found)> accept = {};
};

/// Compares an image with its anchor and writes nothing. Beside an owner it may be a commit behind.
/// Errors: those of a read-only Store::open() and of Anchor::read().
VNVRAM_API Result<AnchorComparison> compare_with_anchor(std::unique_ptr<BlockDevice> device,
                                                        Anchor& anchor, const KeyRing& keys = {});

/// Opens the image with this AnchorUse::accept, if any, and closes it. What other branches of its
/// history hold is refused from then on. Errors: those of Store::open().
VNVRAM_API Status
accept_anchor(std::unique_ptr<BlockDevice> device, std::shared_ptr<Anchor> anchor,
              std::function<Status(BlockDevice& device, const AnchorComparison& found)> accept = {},
              const KeyRing& keys = {});

} // namespace vnvram
