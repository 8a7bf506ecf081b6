// The store: an open image, with exactly one owner.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "vnvram/anchor.h"
#include "vnvram/blob.h"
#include "vnvram/block_device.h"
#include "vnvram/export.h"
#include "vnvram/hand_over.h"
#include "vnvram/key.h"
#include "vnvram/key_offer.h"
#include "vnvram/key_ring.h"
#include "vnvram/key_rotation.h"
#include "vnvram/open_device.h"
#include "vnvram/public_metadata.h"
#include "vnvram/result.h"
#include "vnvram/store_counters.h"
#include "vnvram/transaction.h"

namespace vnvram {

class Clock;

inline constexpr std::uint64_t image_size_min_bytes = std::uint64_t{256} << 10U;
inline constexpr std::uint64_t image_size_max_bytes = std::uint64_t{4} << 30U;
inline constexpr std::uint64_t cache_size_default_bytes = std::uint64_t{8} << 20U;
inline constexpr std::uint64_t cache_size_min_bytes = std::uint64_t{256} << 10U;

/// A blob to create an image with, or to register, and what it holds from the beginning.
struct NewBlob {
  BlobSpec spec;
  std::optional<std::vector<std::byte>> content = std::nullopt; ///< nullopt: never written.
};

struct CreateOptions {
  std::vector<NewBlob> blobs;
  /// 0: a ring that holds the largest blob's rewrite twice, at least 1984 KiB, and an eighth of the
  /// image where the blobs leave room for that. A larger ring lets larger blobs be registered later
  /// and makes checkpoints rarer.
  std::uint64_t ring_size_bytes = 0;
  /// Write over what is there, whatever it is. Without it only a blank device is accepted.
  bool force = false;
  /// For contents that are not to be in memory together: what each blob begins with that has none
  /// above, asked for in the order of `blobs` while the image is made; maybe more than once, as an
  /// attempt may fail by chance. nullopt: never written. Its errors are those of the creation.
  std::function<Result<std::optional<std::vector<std::byte>>>(const BlobSpec& blob)> content_of =
      {};
  /// Sealed from its first moment on: see Store::seal().
  bool sealed = false;
  /// Who can open it: an encrypted image then, with a random data key. Without them, and without a
  /// data key, it is plain.
  std::vector<NewKeySlot> key_slots = {};
  /// The data key of an encrypted image, 32 bytes: for who keeps it himself, as
  /// KeyRing::of_data_key() takes it.
  std::vector<std::byte> data_key = {};
  [[nodiscard]] bool encrypts() const { return !key_slots.empty() || !data_key.empty(); }
  /// What the image says to everybody from its first moment on.
  PublicMetadata metadata = {};
  /// For create_image_file(): in which format, and with which key, a VM image is made.
  DeviceOptions device = {};
  /// Called now and then while the image is written in full.
  std::function<void(std::uint64_t done_bytes, std::uint64_t all_bytes)> progress = {};
};

/// Where the callbacks of asynchronous commits run.
enum class CallbackMode {
  store_thread, ///< On a thread of the store, as soon as the commit is durable.
  event_fd, ///< Inside Store::dispatch(), which the program calls when Store::event_fd() says so.
};

/// Whom an opening comes after, of a machine that has gone on meanwhile.
struct OwnerBefore {
  std::uint64_t epoch = 0; ///< StoreInfo::epoch, of the last one that had it open.
  /// Processes of this host that have ended since, and may have begun to open it.
  std::vector<std::uint32_t> pids = {};
};

struct OpenOptions {
  Access access = Access::read_write;
  /// Registered and reconciled in one transaction before open returns (see register_blobs). With
  /// Access::read_only they are only compared: not_found, type_mismatch or too_large if they do not
  /// fit what is there.
  std::vector<BlobSpec> blobs = {};
  /// The must_know attributes that this program understands, beside those in `blobs`.
  std::set<std::string, std::less<>> known_attributes = {};
  /// Bounds the memory for content: never less than cache_size_min_bytes. One transaction, and the
  /// replay of the ring when a read-only store opens, may take more while they last.
  std::uint64_t cache_size_bytes = cache_size_default_bytes;
  CallbackMode callbacks = CallbackMode::store_thread;
  /// Checkpoints run on a thread of the store. Without it they run inside the commits that need
  /// one: slower at times, and fully deterministic (tests). On a device whose content may change
  /// underneath they run inside commits that find no room, in any case.
  bool background = true;
  /// The thread for checkpoints starts with the first commit, not when the store is opened: for a
  /// process that forks in between (Store::adopt_after_fork). The others always start when they are
  /// first needed: with the first deferred write, and the first commit_async() (two). A process
  /// that confines itself to no more threads after opening has both before.
  bool threads_late = false;
  /// What opens the image if it is encrypted.
  KeyRing keys = {};
  /// Opens a sealed image for writing, too. It stays sealed: commits are refused until unseal().
  /// One that is sealed for a hand-over is not among them: somebody may be about to go on with it.
  bool accept_sealed = false;
  /// With it, by somebody's word: one that is sealed for a hand-over, too.
  bool accept_hand_over = false;
  /// Opens this image and no other for writing, sealed or not. The seal stays on it, as with
  /// accept_sealed, until unseal(). Errors, beside the others: in_use (it is still the other one's,
  /// who has not sealed it), sealed (for another hand-over, or for none), stale (somebody has gone
  /// on with it since).
  std::optional<GoOn> go_on = std::nullopt;
  /// By somebody's word, or behind take_over(): an image that an owner on another host has not
  /// closed, too, where no lock says that it has ended (DeviceCapabilities::unseen_owners). Without
  /// it such an image is refused with in_use.
  bool accept_unclosed = false;
  /// Refused with in_use, before anything is written, if somebody else has opened the image for
  /// writing since: what the machine's devices remember may be older then. An image that was put
  /// back to an older state has another epoch as well, and is not refused for that.
  std::optional<OwnerBefore> comes_after = std::nullopt;
  /// How long a deferred write (Store::write_range_deferred) may wait, from the first one on,
  /// before those that wait are committed together. 0: each is durable when its call returns. Needs
  /// `background`: without it they wait for the next commit, a flush, the end, or one too many.
  std::chrono::microseconds deferral{10000};
  /// Called when what the store does of its own accord fails, which no caller hears of: the commit
  /// that `deferral` asks for (what was deferred waits on and is tried again, or is lost if the
  /// store is poisoned), or a checkpoint (the store is poisoned). Once for a series of failures.
  /// Also within about a second when the image's file was removed, or another has its name (stale;
  /// the store is poisoned), or it was moved (absent; it goes on); with `threads_late`, once
  /// something was committed. On threads of the store, which it holds up; it may read and ask for
  /// info(), and must neither write nor close the store, nor throw.
  std::function<void(const Error&)> failed_in_background = {};
  /// Called when a commit is durable, and when the image was sealed or unsealed: with the image's
  /// generation, and whether it is sealed. Before who has asked for that is answered, on the thread
  /// that has done it, which it holds up; it must not call the store, nor throw.
  std::function<void(std::uint64_t generation, bool sealed)> changed = {};
  /// With `background`: bring the homes up to date when nothing was committed for so long. 0:
  /// never; nor ever on a device whose content may change underneath.
  std::chrono::milliseconds idle_checkpoint_after{1000};
  /// Called after each such time, when nothing is left to be done for what was committed: e.g. to
  /// give memory back. On a thread of the store's, on which it may do anything but call the store
  /// or throw.
  std::function<void()> came_to_rest = {};
  /// Outside the image: what its newest state is (vnvram/anchor.h). An image that is not at its
  /// anchor is refused before anything is written to it. What cannot be written there: with
  /// AnchorPolicy::Moment::commit that commit fails and the store is poisoned; with `every` it is
  /// told (failed_in_background) and tried again after each period, and the tenth failure in a row
  /// poisons; an opening, a seal and a close fail. With Access::read_only it is not looked at.
  AnchorUse anchor = {};
  /// The size that the image may grow to by itself, as StoreInfo says its size; 0: it does not.
  /// When blobs that are registered, or made larger, find no room, it grows to what they need, and
  /// to some more for those that come after them. A device that is too short is lengthened if it
  /// can be (DeviceCapabilities::resize), and the space is reserved before any superblock says that
  /// it is the image's. A device that was lengthened by somebody else is long enough; a VM image is
  /// as long as it was when it was opened: see lengthen_vm_image().
  std::uint64_t grow_max_bytes = 0;
  /// Called when it has grown so, with the size of before and the new one. On the thread that
  /// carries the registration out, which it holds up; it must not call the store, nor throw.
  std::function<void(std::uint64_t from_bytes, std::uint64_t to_bytes)> grown = {};
  /// For tests: what says when the times above have come. nullptr: the machine's clock. It outlives
  /// the store.
  Clock* clock = nullptr;
};

/// What an image says about itself and its store.
struct StoreInfo {
  std::array<std::byte, 16> uuid{};
  std::uint32_t format_version = 0;
  std::uint64_t generation = 0;       ///< The last durable commit.
  std::uint64_t epoch = 0;            ///< How often the image was opened for writing.
  std::uint64_t image_size_bytes = 0; ///< With the third superblock and the room around it.
  std::uint64_t ring_size_bytes = 0;
  std::uint64_t ring_used_bytes = 0;  ///< Not yet behind a checkpoint.
  std::uint64_t space_size_bytes = 0; ///< Largest sizes that could be registered in an empty image.
  std::uint64_t space_free_bytes = 0;
  /// The largest blob whose whole rewrite fits a transaction in this ring.
  std::uint64_t blob_size_max_bytes = 0;
  std::size_t blob_count = 0;
  bool clean = false; ///< Closed in good order by its last owner; false while one has it open.
  std::uint32_t owner_pid = 0; ///< Of the current owner, or of the last one if it was not clean.
  std::string owner_host;
  std::uint64_t owner_since_seconds = 0; ///< Since 1970: when that one opened it; 0: not known.
  std::optional<Error> poisoned;         ///< Why the store refuses commits.
  bool sealed = false;                   ///< Its state was handed over: see Store::seal().
  HandOverNumber hand_over;              ///< For which hand-over it is sealed, if for one.
  bool encrypted = false;                ///< It needs a key: see OpenOptions::keys.
  /// Someone else may change the device's content underneath: see Store::is_current().
  bool content_may_change = false;
};

/// One thing that check() found.
struct CheckProblem {
  std::string place;              ///< e.g. "superblock A", "ring record 17", "home page 3, slot 1".
  std::string what;               ///< e.g. "checksum mismatch".
  std::vector<std::string> blobs; ///< The blobs whose bytes are hit; empty: none.
  /// False: a copy was lost that nothing depends on now.
  bool data_lost = true;
};

struct CheckedBlob {
  std::string name;
  std::uint64_t generation = 0; ///< 0: never written.
  std::uint64_t size_bytes = 0;
  bool intact = true;
};

struct CheckReport {
  std::vector<CheckProblem> problems;
  std::vector<CheckedBlob> blobs; ///< Those that the directory lists, as far as it can be read.
  /// What a careful operator may want to know and is no damage, e.g. a torn last record after a
  /// cut.
  std::vector<std::string> notes;
  std::uint64_t generation = 0;
  std::uint64_t blobs_checked = 0;
  std::uint64_t pages_checked = 0;
  std::uint64_t records_checked = 0;
  [[nodiscard]] bool clean() const { return problems.empty(); }
};

/// The size of a fresh image that has room for these blobs at their largest sizes. A set that is
/// registered in one call on an image of at least this size never fails for space.
/// `ring_size_bytes` and `encrypted`: what CreateOptions will say.
/// Errors: invalid_argument for a spec that no image could hold, or a ring too small for them.
VNVRAM_API Result<std::uint64_t> required_size_bytes(std::span<const BlobSpec> blobs,
                                                     std::uint64_t ring_size_bytes = 0,
                                                     bool encrypted = false);
/// What `vnvram create` uses: room to register as much again, and at least 4 MiB.
VNVRAM_API Result<std::uint64_t> recommended_size_bytes(std::span<const BlobSpec> blobs,
                                                        std::uint64_t ring_size_bytes = 0,
                                                        bool encrypted = false);

/// Formats the device: the only call that writes to what is not ours. Takes the lock, refuses what
/// is not blank unless forced, wipes both superblocks first, then writes the image in full. The
/// whole device is used, up to image_size_max_bytes. On success the image is durable and closed,
/// with the blobs registered and written. Errors: exists (not blank), in_use, no_space (says how
/// many bytes are missing), io, invalid_argument, read_only.
VNVRAM_API Status create_image(BlockDevice& device, const CreateOptions& options);

/// create_image at a path. A regular file is made beside its name, in full, and renamed over it
/// only when it is complete and durable, so that a failure leaves what was there; an existing one
/// keeps its owner and mode, and is refused unless it is blank or `force` is given.
///
/// Formatted in place, as create_image() does it, are
/// - a block device, an NBD export, and a VM image of the wanted format that holds nothing:
///   `size_bytes` is ignored;
/// - an RBD image that is there, which is lengthened to `size_bytes`, never shortened; one that is
///   not there is made, and removed again if that fails;
/// - a raw file whose place no new one can take, for a reason that will not go away: it is a mount
///   point (a container's bind mount), its file system knows no rename over a file, or its folder
///   cannot be written to. It is lengthened to `size_bytes`, never shortened.
/// Then a failure leaves what was there, or what no opener takes for an image: the superblocks are
/// wiped first and written last. A full disk is no reason to go on in place.
///
/// `size_bytes` 0: recommended_size_bytes, or the size of the file that is
/// there if that is larger.
/// The format of a new file: what options.device says; else that of the VM image that is there;
/// else by the name's ending: .qcow2, .vmdk, .vhdx, .vdi, .luks; else raw. A VM image is allocated
/// in full, too.
/// Errors: those of create_image() and open_device().
VNVRAM_API Status create_image_file(const std::string& path, std::uint64_t size_bytes,
                                    const CreateOptions& options);

/// Reads every byte that matters of an image, however damaged, and says what is wrong with it.
/// Writes nothing and takes no lock. `progress` is called now and then with bytes done and to do.
/// Errors: only if there is nothing to check: absent, blank, foreign, too_new, key_needed,
/// wrong_key, io at once.
VNVRAM_API Result<CheckReport> check_image(
    BlockDevice& device,
    const std::function<void(std::uint64_t done_bytes, std::uint64_t all_bytes)>& progress = {},
    const KeyRing& keys = {});

/// Lengthens an image that nobody has open: the space becomes free for registering. The device is
/// grown first if it can be; a block device must have been grown already. size_bytes 0: use what
/// the device has. Errors: as Store::open; no_space, unsupported, invalid_argument (smaller than it
/// is).
VNVRAM_API Status resize_image(BlockDevice& device, std::uint64_t size_bytes,
                               const KeyRing& keys = {});

/// resize_image of what open_device() finds there. A VM image is closed while qemu-img grows it,
/// and QEMU can grow qcow2 and LUKS only: unsupported for the others.
VNVRAM_API Status resize_image_file(const std::string& path, std::uint64_t size_bytes,
                                    const DeviceOptions& options = {}, const KeyRing& keys = {});

/// For OpenOptions::grow_max_bytes, before open_device(): QEMU can lengthen a VM image only while
/// nobody has it open. A qcow2 image that holds one of ours, not sealed and closed by its last
/// owner, and is shorter, gets this size. That takes next to no space: what is behind the image is
/// reserved when the image grows into it. Anything else is left as it is, and so is what cannot be
/// looked at, of which the opening will say why. Errors: those of qemu-img.
VNVRAM_API Status lengthen_vm_image(const std::string& path, std::uint64_t size_bytes,
                                    const DeviceOptions& options = {});

/// Puts a seal on an image that nobody has open, whose state goes on elsewhere: see Store::seal().
/// Durable on return; harmless on an image that is sealed. `options` as for Store::open, for an
/// image with a key or an anchor. Errors: as Store::open.
VNVRAM_API Status seal_image(std::unique_ptr<BlockDevice> device, OpenOptions options = {});
/// Takes the seal off an image that nobody has open: the operator's word that its state goes on
/// here and nowhere else. Durable on return; harmless on an image that is not sealed. Errors: as
/// Store::open.
VNVRAM_API Status unseal_image(std::unique_ptr<BlockDevice> device, OpenOptions options = {});

class Engine;

/// An open image. More than 30 methods: it is all that can be asked of one, and each is a line.
///
/// Threads: every call may be made from any thread at any time, except that close() and the
/// destructor must be the last ones, and dispatch() by one thread at a time.
/// Reads return the state of one generation, and only what is durable, but for deferred writes:
/// they are seen at once. After the first failed write or flush the store is poisoned: reads go on,
/// every commit fails with ErrorKind::poisoned and the first cause, until the image is opened
/// again.
class VNVRAM_API Store {
public:
  using CommitCallback = std::function<void(Status)>;

  /// Opens an image and recovers its newest generation. For writing it takes the device's lock,
  /// flushes, raises the owner epoch and starts an empty ring; the options' blobs are registered.
  /// Read-only it takes no lock and works beside an owner, showing one generation.
  /// Errors: blank, foreign, corrupt, in_use (with the owner's pid where known), key_needed,
  /// wrong_key, too_new, sealed, not_at_anchor, io, read_only, and those of register_blobs. An
  /// error leaves the image as it was, but for a recovery that any opener would repeat.
  static Result<std::unique_ptr<Store>> open(std::unique_ptr<BlockDevice> device,
                                             OpenOptions options = {});

  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;
  /// Closes; a program that wants to know whether that worked calls close() first.
  ~Store();

  /// Reconciles a set of blobs with the image, in one transaction: what is there already is left
  /// alone, a larger size_max_bytes grows it (a smaller one is left alone), what is missing is
  /// added, of size 0 and generation 0. Durable on return. After it, no write of up to
  /// size_max_bytes fails for space. Errors: type_mismatch, no_space (by how much), too_large (for
  /// the ring, by how much), invalid_argument; nothing has changed then, but that an image that may
  /// grow (OpenOptions::grow_max_bytes) may have.
  Status register_blobs(std::span<const BlobSpec> blobs);
  /// The same for blobs that begin with a content: those that were never written (generation 0) get
  /// it in the same transaction, so nobody ever sees them without. What was written is left alone.
  /// Errors: too_large for a content that is larger than its blob, or all of it than a transaction
  /// may be, too; nothing has changed then.
  Status register_blobs(std::span<const NewBlob> blobs);

  /// Forgets a blob and frees its space. Durable on return. Errors: not_found, in any commit's way.
  Status remove_blob(std::string_view name);

  /// The blob's current bytes. Errors: not_found, corrupt, too_new (a must_know attribute), io,
  /// stale.
  Result<std::vector<std::byte>> read(std::string_view blob);
  /// Fills `bytes` from offset_bytes on, with zeros beyond the current size. The same errors, and
  /// too_large for a range beyond size_max_bytes.
  Status read_range(std::string_view blob, std::uint64_t offset_bytes, std::span<std::byte> bytes);

  /// Commits a transaction and returns when it is durable. One that changes nothing costs nothing.
  /// Errors: not_found, too_large (a blob's largest size, or more than half the ring), read_only,
  /// too_new: nothing has changed; io, poisoned: it may or may not be there after reopening, whole.
  /// in_use (another owner has opened the image since), stale (the image's content was replaced, or
  /// its file was removed or lost its name): it is not there, and the store is poisoned.
  Status commit(const Transaction& transaction);
  /// Shorthands for a transaction of one update.
  Status write(std::string_view blob, std::span<const std::byte> bytes);
  Status write_range(std::string_view blob, std::uint64_t offset_bytes,
                     std::span<const std::byte> bytes);

  /// The same without waiting: `callback` gets what commit() would have returned, exactly once,
  /// where OpenOptions::callbacks says. Transactions become durable in the order of the calls,
  /// together with those of commit(). A callback may commit again, but must not close the store.
  /// It may be empty. An exception (std::system_error: no thread can be started for it) has done
  /// nothing.
  void commit_async(Transaction transaction, CommitCallback callback);
  /// For devices that write often and ask seldom: takes the write and returns. Readers see it at
  /// once. It is durable when a later flush(), commit or close() has succeeded, and at the latest
  /// OpenOptions::deferral (and a commit) afterwards. All that were taken meanwhile are committed
  /// together, so whatever happens the image holds those up to some moment, in the order of the
  /// calls, across all blobs, and a single one is there whole or not at all. What any commit writes
  /// comes after those that were taken before it.
  /// Waits only when too much waits already (an eighth of the cache, or what a record holds), or
  /// the bytes that it changes have to be looked up on the device. One that finds no room several
  /// times over is a commit itself, and so is one for which no thread can be started.
  /// A write of no bytes changes nothing. A commit_async() that has not called back is not ordered
  /// with what is deferred meanwhile. To a blob that is being removed it may be lost with it.
  /// Errors: those of commit(), and sealed, corrupt and io for the bytes that it changes; the write
  /// was not taken then. When the commit fails later, flush(), every commit and close() say so
  /// until one succeeds, and when that has poisoned the store, this does, too.
  Status write_range_deferred(std::string_view blob, std::uint64_t offset_bytes,
                              std::span<const std::byte> bytes);
  /// The same with zeros.
  Status zero_range_deferred(std::string_view blob, std::uint64_t offset_bytes,
                             std::uint64_t length_bytes);
  /// All deferred writes whose calls have returned are durable when it returns. Costs nothing when
  /// none waits. Errors: those of commit().
  Status flush();

  /// Readable while callbacks wait for dispatch(); -1 unless CallbackMode::event_fd. Owned by the
  /// store.
  [[nodiscard]] int event_fd() const;
  /// Runs the callbacks that are due, in order, and returns how many; it never waits.
  std::size_t dispatch();

  /// In the order of their names. Sizes are as readers see them; generations are of commits, so a
  /// deferred write shows in one and not yet in the other.
  [[nodiscard]] std::vector<BlobInfo> blobs() const;
  [[nodiscard]] Result<BlobInfo> blob(std::string_view name) const;
  [[nodiscard]] StoreInfo info() const;
  /// What an anchor of it would hold now.
  [[nodiscard]] AnchorPoint image_point() const;
  [[nodiscard]] StoreCounters counters() const;

  /// Where its bytes are, to look at beside all that it does (check_image()). Nobody else writes to
  /// it, closes or locks it.
  [[nodiscard]] BlockDevice& device();

  /// Brings the homes up to date and empties the ring. Never needed for durability.
  Status checkpoint();

  /// For state that has been handed over to another machine, so that it does not go on in two
  /// places. Refuses commits from the call on (ErrorKind::sealed), then marks the image: on return
  /// it is durable that nobody opens it for writing before unseal(). Sealing twice is once.
  /// With a number it is sealed for that hand-over, on storage that the other host sees as well:
  /// who has that number may go on (OpenOptions::go_on), and who has not needs a word
  /// (OpenOptions::accept_hand_over). The last number counts.
  /// Errors: read_only; io, poisoned: commits are refused all the same.
  Status seal(const HandOverNumber& hand_over = {});
  /// The state is ours again. Durable on return. Errors: read_only, io, poisoned.
  Status unseal();

  /// Of an encrypted image: makes a new data key, and seals all of it anew with that. Commits wait
  /// until it is done; reads go on. Whenever it is cut, the image opens, with the old key slots or
  /// the new ones. On return nothing that the old data key opens is on the device, as far as the
  /// device overwrites in place, and the slots open the new one. Returns the slots that were left
  /// out. Errors: invalid_argument (a plain image), key_needed (slots would be left out, and
  /// nothing has changed), read_only; io, poisoned.
  Result<std::vector<KeySlotInfo>> rotate_data_key(const KeyRotation& rotation);

  /// For who is about to make an offer, which takes time, or somebody's: whether add_key_slot() or,
  /// with a number, change_key_slot() would take one now. Errors: theirs, but for what is wrong
  /// with an offer.
  Status check_key_slot(std::optional<unsigned> number = std::nullopt);
  /// Of an encrypted image: one holder more can open it, by the first free slot, of the data key
  /// that the image has now. The offer was made for this receiver (offer_key_slot()), and nothing
  /// in it is believed. Beside commits; an exchange of the data key is waited for. Durable on
  /// return; after a cut there are the slots of before, or these. Works on a sealed image, too.
  /// Errors: invalid_argument (a plain image; no slot can be so; made for another receiver),
  /// no_space (16 slots are taken, or what they say is too long), read_only, corrupt, io, poisoned;
  /// in_use and stale as a commit's.
  Result<KeySlotInfo> add_key_slot(const KeySlotOffer& offer, const KeyOfferReceiver& receiver);
  /// Exchanges what opens a slot; its number stays, and its label unless there is a new one. The
  /// same errors, and not_found.
  Result<KeySlotInfo> change_key_slot(unsigned number, const KeySlotOffer& offer,
                                      const KeyOfferReceiver& receiver);
  /// As remove_key_slot() of key.h. This store goes on also without the slot that it was opened by.
  /// Errors: its own, and as above.
  Status remove_key_slot(unsigned number, bool allow_last = false);

  /// As set_public_metadata() and, without a value, remove_public_metadata() of public_metadata.h.
  /// Durable on return; after a cut there is the old entry or the new one. Works on a sealed image,
  /// too. Errors: their own; read_only, io, poisoned; in_use and stale as a commit's.
  Status set_metadata(std::string_view name, const std::optional<std::string>& value);

  /// For a process that has forked after it opened the store, as daemons do: the image names this
  /// process as its owner from now on. A store may be opened and then taken across a fork if it
  /// was opened with `threads_late` and no `blobs`, nothing else was called before, and the parent
  /// does nothing more with it, not even destroy it. Durable on return. Errors: read_only, io,
  /// poisoned.
  Status adopt_after_fork();

  /// Whether the device still holds what this store made it hold: looks at the superblocks and at
  /// the newest record, and writes nothing. False: someone has put back an earlier content, or has
  /// opened the image since; abandon() then, and open it again to see what is there. To be called
  /// with no commit under way. Errors: io.
  Result<bool> is_current();

  /// Gives the image up as it is: nothing more is written, no deferred write, no checkpoint and no
  /// mark of a clean close, which costs the next opening a longer recovery and nothing else. For a
  /// device that is not to be touched any more, or to be opened anew because its content was put
  /// back: it is returned, unlocked. Afterwards only the destructor may be called.
  std::unique_ptr<BlockDevice> abandon();

  /// Waits for the commits under way, commits what was deferred, runs a last checkpoint, marks the
  /// image clean and gives up the lock. In CallbackMode::event_fd callbacks that were not
  /// dispatched run here. Afterwards only the destructor may be called. Errors: io, poisoned; what
  /// was committed is durable all the same, and what was deferred is there up to some moment.
  Status close();

private:
  explicit Store(std::unique_ptr<Engine> engine);
  std::unique_ptr<Engine> engine_;
};

} // namespace vnvram
