// Has one image open, for any number of front ends.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "device/byte_range.h"
#include "owner/store_gate.h"
#include "owner/store_use.h"
#include "owner/watch.h"
#include "store/sealed_superblocks.h"
#include "vnvram/open_device.h"
#include "vnvram/result.h"
#include "vnvram/space.h"
#include "vnvram/store.h"
#include "vnvram/take_over.h"

namespace vnvram {

/// The one owner of a machine's image, as its front ends see it: each of their calls uses the store
/// that is open at that moment (use(), by way of a LocalBlobClient). So they outlive a store: the
/// image may be closed and another one opened under them, or the same one anew because its content
/// was put back. It knows blobs, and nothing of what is in them.
/// More than 30 methods: whatever is done with an image for all of its front ends passes one gate.
///
/// More than 30 methods: what is done with one image by those who share it; how a hold, a bar and
/// an exchange of the store exclude each other is told here only.
///
/// Threads: the calls of the first group may come from any thread. The others by
/// one thread at a time, which has no use() of its own meanwhile; they wait for the device.
class ImageKeeper {
public:
  /// How every image is opened.
  struct Setup {
    DeviceOptions device = {};
    /// But for what an Opening says, and for who hears of failures and changes (watch_failures(),
    /// changes()).
    OpenOptions store = {};
    SpacePolicy space = SpacePolicy::reserve;
    /// Hears what SpacePolicy::warn has to say.
    std::function<void(const Error&)> space_warned = {};
    bool reserve = false; ///< See reserve_when_locked().
    /// Told of each opening, with StoreInfo::epoch, before anybody uses the store.
    std::function<void(std::uint64_t epoch)> opened = {};
  };
  /// One image.
  struct Opening {
    std::string location; ///< See open_device().
    bool accept_sealed = false;
    bool accept_unclosed = false; ///< See OpenOptions; beside what Setup says.
    /// See OpenOptions::go_on.
    std::optional<GoOn> go_on = {};
    /// Whoever has it in use is shut out before: see vnvram::take_over(). Nothing: as usual.
    std::optional<OwnerWord> take_over = {};
    /// See OpenOptions::comes_after.
    std::optional<OwnerBefore> comes_after = {};
    /// Read-only: for a look at what somebody else may have open, as it is at that moment; anchors
    /// have no say in that.
    Access access = Access::read_write;
  };

  explicit ImageKeeper(Setup setup) : setup_(std::move(setup)) {}
  ImageKeeper(const ImageKeeper&) = delete;
  ImageKeeper& operator=(const ImageKeeper&) = delete;
  /// As detach(). The front ends' clients are gone.
  ~ImageKeeper() = default;

  // ---- Any thread

  /// For one call. Waits while the image is opened, closed or looked at, and to change something
  /// while changes are held. Error: absent (no image is attached).
  Result<StoreUse> use(StoreGate::Purpose purpose);
  /// To change something, but nothing at once while changes are held: see releases().
  std::optional<Result<StoreUse>> try_to_change();
  /// check_image() of what is on the device, beside the changes that go on; if there are too many
  /// for that, they wait until it is done. One at a time. Errors: its own, those of a checkpoint,
  /// absent.
  Result<CheckReport> check();
  /// For who mirrors the image's device (WrittenBlocks). `number`: 0 begins, and is set; while
  /// nobody else can begin to hold changes. Errors: in_use (somebody else mirrors it by now; to
  /// begin: changes are held), absent; to begin: sealed (it was moved).
  Result<std::vector<ByteRange>> take_written(std::uint64_t& number);
  /// While changes are held: what the superblocks would be if it was sealed. Errors: those of
  /// sealed_superblocks(), absent.
  Result<SealedSuperblocks> sealed_superblocks(const HandOverNumber& hand_over);
  [[nodiscard]] bool is_held() const { return gate_.is_held(); }
  /// Told of each end of a hold. A watcher must not use() the store.
  [[nodiscard]] Watch<>& releases() { return gate_.releases(); }
  /// The watcher is told what the store does of its own accord and fails (see
  /// OpenOptions::failed_in_background), of this image and of later ones. It must not use() the
  /// store. Returns a number for end_watch().
  [[nodiscard]] std::uint64_t watch_failures(Watch<const Error&>::Watcher watcher) {
    return failures_.begin(std::move(watcher));
  }
  void end_watch(std::uint64_t number) { failures_.end(number); }
  /// Told of each change of the image's generation and of its seal (OpenOptions::changed), and of
  /// those of an image that is opened. A watcher must not use() the store.
  [[nodiscard]] Watch<std::uint64_t, bool>& changes() { return changes_; }

  // ---- One thread at a time; those that say nothing of it, with an image attached

  /// Opens the image that is there, with none attached. Errors: exists (one is attached), those of
  /// open_device() and Store::open().
  Status attach(const Opening& opening);
  /// The same on a device that is open; the opening's location is for messages.
  Status attach(std::unique_ptr<BlockDevice> device, const Opening& opening);
  /// With an image or without.
  [[nodiscard]] bool is_attached() const { return store_ != nullptr; }
  /// Whether to open this takes the right to open files.
  [[nodiscard]] static bool needs_files(const std::string& location);
  /// Loads what an image that is attached later may need, for a process that gives up the right to.
  static void load_libraries();
  /// Closes the image in good order (Store::close()). Harmless when none is attached.
  Status detach();
  /// Lets go of the image as it is (Store::abandon()). Harmless when none is attached.
  void abandon();
  /// The same, for another host to take it. Errors: those of given_back(): it is let go here all
  /// the same, but no other host can write to it.
  Status let_go();
  /// Whether that will fail, as far as it is known before: to be said when it is attached.
  [[nodiscard]] Status check_let_go() const;

  /// Whether the image still holds what was written (Store::is_current()). Error: io.
  Result<bool> is_current();
  /// Opens it anew, by the connection that is there, because its content was put back: what was not
  /// durable is gone. It may be sealed. An error, one of Store::open(): none is attached any more.
  Status reopen();

  [[nodiscard]] StoreInfo info() const { return store_->info(); }
  /// That this keeper's opening of it has begun.
  [[nodiscard]] OwnerEpoch epoch() const;
  /// Store::seal(), Store::unseal().
  Status seal(const HandOverNumber& hand_over = {}) { return store_->seal(hand_over); }
  Status unseal() { return store_->unseal(); }
  /// While changes are held: a copy that is sealed for this hand-over has all that this image has,
  /// and is the image when this one is sealed for it, too. What front ends want changed from then
  /// on is neither done nor answered, and nobody is told of the seal: they go on with who opens the
  /// copy, when this keeper's owner has ended. `to`: where the copy is, for who opens this one.
  /// Errors: those of Store::set_metadata() and Store::seal(). If has_left() is false then, nothing
  /// has happened; else nobody knows whether it is sealed.
  Status leave(const HandOverNumber& hand_over, const std::string& to);
  /// Any thread.
  [[nodiscard]] bool has_left() const { return has_left_; }

  /// Nothing is on its way to the image when it returns, of what front ends have changed and of the
  /// store's own accord, and no change begins before release(), but for those of this thread by the
  /// calls above. A hold ends with the store that it is of: when the image is detached or opened
  /// anew. Errors: those of a commit; it is held all the same.
  Status hold();
  /// Harmless when none is held, or attached.
  void release();
  /// The same for longer than a store is open: no change begins, whatever image is attached or
  /// none, before unbar(). A hold fails meanwhile (in_use), and its end is none.
  void bar();
  void unbar();
  /// Barred still, but changes do not wait: they are refused with sealed, those that have waited,
  /// too.
  void refuse_changes();
  /// Whether a change has had to wait, or was refused, since it was barred by this call: whoever
  /// wanted it may want it still.
  void bar_anew();
  [[nodiscard]] bool has_turned_away() const { return has_turned_away_; }

  /// For a process that may have forked since attach(), with OpenOptions::threads_late: see
  /// Store::adopt_after_fork(). Nothing if it has not.
  Status adopt_after_fork();

private:
  Result<StoreUse> use(StoreGate::Pass pass);
  [[nodiscard]] Status check_taken(StoreGate::Purpose purpose) const;
  [[nodiscard]] Status check_free_to_move() const;
  Result<CheckReport> check_at_rest();
  Status open(std::unique_ptr<BlockDevice> device, const Opening& opening);
  [[nodiscard]] std::unique_ptr<Store> take_store();

  const Setup setup_;
  Watch<const Error&> failures_;
  Watch<std::uint64_t, bool> changes_; ///< Generation; whether it is sealed.
  StoreGate gate_;
  std::atomic<bool> barred_ = false;
  std::atomic<bool> refuses_changes_ = false;
  std::atomic<bool> has_turned_away_ = false;
  std::atomic<bool> has_left_ = false;
  std::mutex check_mutex_;       ///< Held by who checks.
  std::string location_;         ///< Exchanged with the gate closed, and so is the store.
  std::unique_ptr<Store> store_; ///< Before the watchers: its threads tell them.
  int opened_by_pid_ = 0;
};

} // namespace vnvram
