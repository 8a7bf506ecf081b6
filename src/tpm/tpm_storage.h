// The TPM's state and its image: taken from it, and made durable on it.
#pragma once

#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "client/image_state.h"
#include "owner/shared_words.h"
#include "service/log.h"
#include "soft_tpm/soft_tpm.h"
#include "tpm/adopted_image.h"
#include "tpm/custody.h"
#include "tpm/image_place.h"
#include "tpm/image_trouble.h"
#include "vnvram/hand_over.h"
#include "vnvram/result.h"

namespace vnvram {

class BlobClient;
class ImageKeeper;

struct TpmStorageStatus {
  std::string location; ///< Of the image; the last one while none is attached.
  bool attached = false;
  Custody::State custody = Custody::State::ours;
  bool uncommitted = false; ///< The TPM's memory has changes that are not on the image.
  bool failed = false;
  std::string image_error; ///< Why the image takes no commit, or what else is wrong with it.
  ImageState image;        ///< Of the image, or of the last one.
};

/// Carries what the TPM has changed in memory to its blobs, when Custody says that this may be, and
/// sees to it that the image says what Custody says.
///
/// A drive whose content was changed underneath is opened again.
///
/// More than 30 methods: how an image may come, and go, hangs together by what was done with it
/// last; what is decided from memory has been taken from it (Custody, AdoptedImage).
///
/// Threads: status() by any, without waiting for the device; the others by the one thread that
/// waits for it (TpmWorker's).
class TpmStorage {
public:
  /// What it works with, all of which outlives it. The client is on the keeper's image, or that of
  /// another process, and `trouble` watches that.
  struct Parts {
    SoftTpm& tpm;
    Custody& custody;
    AdoptedImage& image;
    ImageKeeper* keeper; ///< None: another process has the image.
    BlobClient& client;
    ImageTrouble& trouble;
    const Log& log;
    std::string blobs_prefix = {}; ///< Of the TPM's blobs (tpm_blob_name).
  };

  struct Setup {
    /// The process cannot open files any more once it serves. An image that takes files is then not
    /// given up, because it could not be taken again.
    bool confined = false;
    /// The image is on storage that the other host of a migration sees as well.
    bool shared = false;
  };
  TpmStorage(const Parts& parts, Setup setup);
  TpmStorage(const TpmStorage&) = delete;
  TpmStorage& operator=(const TpmStorage&) = delete;

  /// Where the image is found, each time that it is needed. Before anything else, and it
  /// outlives this; without it an image is where attach() says.
  void use_place(ImagePlace& place) { place_ = &place; }

  [[nodiscard]] TpmStorageStatus status() const;

  /// Before anything is served: makes durable what powering on has changed.
  Status commit_first();
  /// Before a command is run. False: it must fail, and why was logged.
  [[nodiscard]] bool prepare();
  /// Makes durable what the TPM has changed. False: that failed, now or earlier.
  [[nodiscard]] bool commit();
  /// What control commands have changed, with no TPM command about to come.
  void commit_without_command();
  /// The same for a control command that is answered behind it, wherever the image is: on a drive
  /// whose content may change, too, after a look. Errors: those of attach_at_place(), poisoned (it
  /// is ours, and not durable).
  Status settle();
  /// The TPM is about to count as held: nothing of the image's own accord is left to be written,
  /// and nothing is until resume().
  void hold();
  /// The operator's word that a drive is as it should be: what is in memory is committed now, and
  /// not only with the next TPM command.
  void resume();
  /// Closes the image. A drive that may change underneath, or is held, is left as it is.
  /// Errors: unsupported (it could not be attached again).
  Status detach(bool held);
  /// Opens the image there, or where the last one was. Errors: exists (one is attached),
  /// unsupported (it cannot be opened any more), those of ImageKeeper::attach(), read_tpm_image()
  /// and AdoptedImage::adopt().
  Status attach(const std::string& location) { return attach(location, nullptr); }
  /// Opens the image that is at the place; of one that is attached, whether it still is what is
  /// found there. Errors: those of the place, and of attach().
  Status attach_at_place();
  /// The operator's word that the state is ours.
  Status unseal();

  // ---- Of an image that the other host of a migration sees as well (Setup::shared)

  /// The TPM's state is on it, and it is sealed for this hand-over and let go when this returns;
  /// also one that was let go and not taken by anybody. Errors: it is here, as it was, or it has
  /// gone on elsewhere (stale).
  Status hand_over(const HandOverNumber& number);
  /// Opens it again, if nobody has gone on with it since. Errors: stale (somebody has, and the
  /// state is gone), and those of attach_at_place().
  Status take_image_back();
  /// Before an INIT: opens what was handed over with the state that was set; without one, what
  /// nobody has handed over. What was handed over here is left alone. Errors: sealed, those of
  /// attach_at_place().
  Status open_to_power_on();
  /// Lets go of it if it was attached and not gone on with: somebody else may take it (back).
  void leave_what_is_sealed();
  /// The end: commits what is left and closes the image.
  Status close();

private:
  /// `device`: what is open there already.
  Status attach(const std::string& location, std::unique_ptr<BlockDevice> device);
  Status open(const std::string& location, std::unique_ptr<BlockDevice> device,
              const std::optional<GoOn>& go_on);
  Result<OwnerEpoch> seal_and_let_go(const HandOverNumber& number);
  Status unseal_image();
  Result<std::optional<GoOn>> what_to_go_on_from() const;
  Status bring_up_to_date();
  [[nodiscard]] bool fail(const Error& error, std::string_view during);
  [[nodiscard]] bool fail_to_unseal(const Error& error);
  [[nodiscard]] bool look_again();
  [[nodiscard]] bool is_still_there();
  Result<bool> is_current();
  void let_go_as_it_is();
  [[nodiscard]] bool is_at_hand();
  void leave_place();
  void lose_image();
  void leave_image();
  void gone_on_elsewhere();
  void note(SharedWords words, const std::string& location) const;
  void commit_as_ours();
  Status mark_image_ours();
  void mark_image_sealed();
  [[nodiscard]] bool was_taken_back_elsewhere();
  Status let_go();
  [[nodiscard]] Error of_another_process() const;
  Status check_reopens(const std::string& location) const;
  [[nodiscard]] bool is_left_alone(Status& result);

  SoftTpm& tpm_;
  Custody& custody_;
  AdoptedImage& image_;
  ImageKeeper* const keeper_; ///< None: another process has the image.
  BlobClient& client_;
  ImageTrouble& trouble_;
  ImagePlace* place_ = nullptr;
  bool was_at_place_ = false; ///< An image from there was attached once.
  const Log& log_;
  const std::string blobs_prefix_;
  const Setup setup_;
  /// Of an image that was let go while its TPM is in use: how it is known again.
  std::optional<GoOn> let_go_;
  bool is_nobodys_ = false; ///< Another process has let it go, and then failed.
  bool complained_ = false;

  mutable std::mutex mutex_;
  std::string failure_; ///< Why the TPM has failed. Under the mutex.
};

} // namespace vnvram
