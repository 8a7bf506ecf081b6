// What an operator asks the owner of an image for, beside its blobs.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "base/unique_fd.h"
#include "client/image_state.h"
#include "client/moment.h"
#include "client/owner_event.h"
#include "vnvram/hand_over.h"
#include "vnvram/key.h"
#include "vnvram/key_offer.h"
#include "vnvram/public_metadata.h"
#include "vnvram/result.h"
#include "vnvram/store.h"

namespace vnvram {

class OwnerLink;

/// As OwnerStatus in the schema.
struct OwnerStatus {
  struct Session {
    std::uint64_t number = 0;
    pid_t pid = 0;
    uid_t uid = 0;
    std::vector<std::string> writes; ///< The blobs that are its to write.
    std::string device;              ///< What it is to the machine; empty: it came by itself.
  };
  struct Progress {
    std::uint64_t done_bytes = 0;
    std::uint64_t all_bytes = 0; ///< 0: it has just begun.
  };
  std::string location;
  pid_t pid = 0; ///< The owner's.
  bool held = false;
  std::optional<ImageState> image; ///< None: no image is attached.
  std::vector<Session> sessions;
  std::optional<Progress> key_exchange; ///< None: none is under way, or an older owner.
  std::optional<HandOverNumber> let_go; ///< For which hand-over the image was let go here.
  bool gone_on = false; ///< It was let go here, and it is known that somebody has gone on with it.
  std::optional<Error> refusal; ///< Why no change is taken until the owner has been started anew.
};

/// A session of an operator's (Owner in owner.capnp), over a socket that is connected. Errors of
/// all: io (the owner cannot be reached).
/// More than 30 methods: there is one for each call of the schema's, and most are a line there.
///
/// Threads: any.
class OwnerClient {
public:
  /// Errors: io (nobody answers there as an owner does, within 5 s).
  static Result<std::unique_ptr<OwnerClient>> connect(UniqueFd socket);
  OwnerClient(const OwnerClient&) = delete;
  OwnerClient& operator=(const OwnerClient&) = delete;
  ~OwnerClient();

  Result<OwnerStatus> status();
  /// Nothing is on its way to the image when it returns, and no change begins before release(), or
  /// until so much time has passed. Errors: invalid_argument (not 1 ms to 1 h), absent (there is no
  /// image), those of a commit.
  Status hold(std::chrono::milliseconds duration);
  /// Returns whether something was held until now: if not, a hold has ended before.
  Result<bool> release();
  /// The same if nothing is held, for work of this program's own. Returns its number for
  /// release_own(). Errors: in_use (somebody holds), too.
  Result<std::uint64_t> hold_alone(std::chrono::milliseconds duration);
  /// Ends that one, if it is still what is held.
  Result<bool> release_own(std::uint64_t number);
  /// What the image says about itself, but whether it is clean: it is open. Errors: absent.
  Result<StoreInfo> image();
  /// Reads all of the image: see ImageKeeper::check() for what waits meanwhile. Errors: those of
  /// check_image(), absent.
  Result<CheckReport> check();
  /// All blobs at one moment, with the contents of those that are newer than that generation if
  /// they have no more bytes than that (moment_content_max_bytes; else it is not complete). Errors:
  /// those of a commit, since what is deferred comes first; absent; too_new (must_know attributes).
  Result<Moment> changes(std::uint64_t after, std::uint64_t content_max_bytes);
  /// Fills `bytes`, as they are at a moment at which nothing is deferred. Errors: those of
  /// BlobClient::read() and of a commit.
  Status read_settled(const std::string& blob, std::uint64_t offset_bytes,
                      std::span<std::byte> bytes);
  /// Store::register_blobs(). Errors: its own; in_use (another session writes one that begins with
  /// a content), too_large (contents of more than 16 MiB).
  Status register_blobs(std::span<const NewBlob> blobs);
  /// Durable on return. Errors: not_found, in_use (another session writes it), and a commit's.
  Status remove(const std::string& blob);
  /// The state of the machine goes on here: takeBack() of owner.capnp. Errors: those of a commit.
  Status take_back();
  /// Another owner takes this one's place. Errors: unsupported (nothing would start it).
  Status restart();
  /// All front ends are exchanged for what is installed now; waits for it. Errors: unsupported
  /// (nothing would start them, or an older owner), in_use (somebody else has it done), io (one
  /// was not exchanged, and why).
  Status renew_front_ends();

  /// What the image says to everybody. Errors: those of read_public_metadata(); unsupported (an
  /// older owner).
  Result<PublicMetadata> metadata();
  /// nullopt takes it away. Durable on return. Errors: those of set_public_metadata(), not_found.
  Status change_metadata(const std::string& name, const std::optional<std::string>& value);
  /// What is said of key slots.
  struct RotatedSlots {
    std::vector<std::string> left_out;
    std::vector<std::string> opens;
  };
  /// Another data key, for an image that is encrypted: see Store::rotate_data_key(). How far it has
  /// come another client's status() says.
  Result<RotatedSlots> rotate_data_key(bool leave_out_others, std::span<const unsigned> without);
  /// Who can open the image. Errors: those of list_key_slots(), absent.
  Result<std::vector<KeySlotInfo>> key_slots();
  /// For whom the next offer of a key slot is made (offer_key_slot()): of one more or, with a
  /// number, in place of that. Errors: those of Store::check_key_slot(), absent; in_use (changes
  /// are held); unsupported (an older owner).
  Result<KeyOfferReceiver::PublicKey>
  receive_key_slot(std::optional<unsigned> number = std::nullopt);
  /// With an offer that was made for what that has returned, which takes one, also if this fails.
  /// Durable on return. Errors: those of Store::add_key_slot(), Store::change_key_slot().
  Result<KeySlotInfo> add_key_slot(const KeySlotOffer& offer);
  Result<KeySlotInfo> change_key_slot(unsigned number, const KeySlotOffer& offer);
  /// Durable on return. Errors: those of Store::remove_key_slot().
  Status remove_key_slot(unsigned number, bool allow_last);

  /// Fills `bytes`, whole blocks and device_read_max_bytes at most, with what lies on the image's
  /// device there; without any, only asks. Returns the device's size. Errors: those of reading;
  /// absent; unsupported (an older owner).
  Result<std::uint64_t> read_device(std::uint64_t offset_bytes, std::span<std::byte> bytes);

  /// See written() of owner.capnp; `mirror` 0 begins, and is set. Errors: in_use (somebody else has
  /// begun), absent, sealed; unsupported (no other owner would come, or an older one).
  struct WrittenRange {
    std::uint64_t offset_bytes = 0;
    std::uint64_t length_bytes = 0;
  };
  Result<std::vector<WrittenRange>> take_written(std::uint64_t& mirror);
  /// See sealedSuperblocks() there.
  struct SealedImage {
    std::vector<std::vector<std::byte>> superblocks;
    std::string location; ///< Of the image, for the owner.
  };
  Result<SealedImage> sealed_superblocks(const HandOverNumber& number);
  /// See leave() there. Errors: stale (the hold has ended), too.
  Status leave(std::uint64_t hold, const HandOverNumber& number, const std::string& location);

  /// See letGo(), goOn() there: of a machine without a TPM. Errors: unsupported (it has one, no
  /// other host sees the image, or an older owner); those that are told there.
  Status let_go(const HandOverNumber& number);
  /// Neither number nor epoch: as it was let go there.
  Status go_on(const GoOn& from);

  /// In Prometheus's text format. Errors: unsupported (an older owner).
  Result<std::string> metrics();
  /// Calls `happened` with what happens from now on, beginning with the generation that the image
  /// is at, and `lost` when nothing more will come. Both on a thread of the client's, or on
  /// that of a caller; they must not call the client. Once.
  Status watch(std::function<void(const OwnerEvent&)> happened,
               std::function<void(const Error&)> lost);

private:
  explicit OwnerClient(std::unique_ptr<OwnerLink> link);
  Result<std::uint64_t> ask_to_hold(std::chrono::milliseconds duration, bool only_one);
  Result<bool> ask_to_release(std::uint64_t number);

  std::unique_ptr<OwnerLink> link_;
  std::atomic<bool> stops_ = false;
  std::jthread following_; ///< The last: it uses the others.
};

} // namespace vnvram
