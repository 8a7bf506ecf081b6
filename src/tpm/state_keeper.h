// Keeps the TPM's state on a drive: when it may be written, and when it must not be.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "soft_tpm/soft_tpm.h"
#include "tpm/blob_room.h"
#include "tpm/log.h"
#include "tpm/tpm_image.h"
#include "vnvram/result.h"
#include "vnvram/store.h"

namespace vnvram {

/// What has become of the state that the TPM had.
enum class Custody {
  ours,
  /// The machine's QEMU has taken a copy of it, for a snapshot or for a migration: which of them,
  /// only what comes next tells. Commands wait.
  handed_over,
  /// That QEMU is gone since. The state goes on elsewhere, if anywhere: commands fail.
  gone,
};

struct KeeperStatus {
  std::string location; ///< Of the image; the last one while none is attached.
  bool attached = false;
  Custody custody = Custody::ours;
  bool content_may_change = false;
  bool uncommitted = false; ///< The TPM's memory has changes that are not on the image.
  bool failed = false;
  std::string image_error;      ///< Why the image takes no commit, or what else is wrong with it.
  std::uint64_t generation = 0; ///< Of the image, or of the last one.
  std::array<std::byte, 16> image_uuid{};
};

/// Between the TPM, which changes its state in memory, and the store, which makes it durable.
///
/// A drive whose content someone else may change underneath (StoreInfo::content_may_change) is
/// written only while a TPM command is served, and looked at after each power-on before anything is
/// written: if its history is not the store's own it is opened again. What QEMU has set then wins
/// over what the drive holds, and the drive over what the TPM had.
///
/// A state that was handed over is not committed any more until it is ours again; so that no other
/// process takes it up, the image is sealed: its own at once, a drive as above when QEMU is gone.
///
/// Threads: calls that touch the device belong to one thread (TpmWorker's), the others may come
/// from any.
class StateKeeper {
public:
  struct Setup {
    std::string location; ///< Of the image.
    DeviceOptions device = {};
    /// False for a QEMU that does not say when its machine goes on after a snapshot (before 7.2):
    /// the state is ours, always.
    bool seals = true;
    /// Whether a TPM whose power goes is shut down in its guest's stead.
    bool shuts_down = true;
    /// True for a process that cannot open files any more once it serves: an image that is not an
    /// NBD export is then not given up, because it could not be taken again.
    bool confined = false;
  };

  /// Without an image: attach() looks for it at the setup's location if it is not told. TPM and log
  /// outlive it.
  StateKeeper(SoftTpm& tpm, Setup setup, const Log& log);
  /// With the image that the TPM was made from.
  StateKeeper(SoftTpm& tpm, Setup setup, TpmImage image, const Log& log);
  StateKeeper(const StateKeeper&) = delete;
  StateKeeper& operator=(const StateKeeper&) = delete;

  // ---- Any thread; none of these waits for the device.

  /// Whether commands may be taken now: there is an image, the TPM is not just being powered on,
  /// and its state was not just handed over. A TPM in failure mode has nothing to wait for, nor one
  /// that is off: QEMU sends a command before INIT, to see what it talks to, and gives up if there
  /// is no answer.
  [[nodiscard]] bool serves() const {
    return tpm_.failed() || tpm_.is_off() ||
           (attached_ && !powering_on_ && custody_ != Custody::handed_over);
  }
  /// Asked when nothing can come between the answer and the command: nothing has happened since
  /// prepare() that it would have to see. For the worker's thread.
  [[nodiscard]] bool may_run() const {
    return tpm_.failed() || tpm_.is_off() ||
           (serves() && custody_ == Custody::ours && !look_again_);
  }
  /// Whether the TPM may be sent TPM2_Shutdown before its power goes: the state is on our image,
  /// and no copy of it has left that could be what goes on.
  [[nodiscard]] bool may_shut_down() const {
    return shuts_down_ && attached_ && custody_ == Custody::ours && !copied_;
  }
  /// Someone who may stop the TPM has taken a copy of its state. It goes on here if a command
  /// comes, or by one of the words that it does.
  void note_copy() { copied_ = true; }
  /// From here on no command runs, so that the state is that of one moment. Returns false if it was
  /// not ours.
  bool hand_over();
  /// The state was not handed over after all; or CMD_LOCK_STORAGE: it was for a snapshot, or the
  /// migration has not come about. Nothing to one that is gone.
  void take_back();
  /// The QEMU that had control is gone.
  void controller_gone();
  /// Around an INIT; `restored`: with a state that QEMU has set.
  void power_on_begins() { powering_on_ = true; }
  void powered_on(bool restored);
  /// Whether the image has room for states of these sizes; without one they will find out when it
  /// is attached. Errors: those of BlobRoom::check().
  [[nodiscard]] Status check_room(const TpmStateSizes& sizes_bytes) const;
  [[nodiscard]] KeeperStatus status() const;

  // ---- The thread that waits for the device.

  /// Before anything is served: makes durable what powering on has changed.
  Status commit_first();
  /// Before a command is run. False: it must fail, and why was logged.
  [[nodiscard]] bool prepare();
  /// Makes durable what the TPM has changed. False: that failed, now or earlier.
  [[nodiscard]] bool commit();
  /// What control commands have changed, with no TPM command about to come.
  void commit_without_command();
  /// Before the TPM counts as held: nothing of the image's own accord is left to be written.
  void come_to_rest();
  /// The operator's word that a drive is as it should be: what is in memory is committed now, and
  /// not only with the next TPM command.
  void commit_settled();
  /// Closes the image. A drive that may change underneath, or is held, is left as it is.
  /// Errors: unsupported (it could not be attached again).
  Status detach(bool held);
  /// Opens the image there, or where the last one was. If the TPM is in use, with other content
  /// than the image's and none that QEMU has set, that is refused (ErrorKind::stale). Other errors:
  /// exists (one is attached), those of open_tpm_image(), and of BlobRoom::check() if a state that
  /// QEMU has set has no room on it.
  Status attach(const std::string& location);
  /// The operator's word that the state is ours.
  Status unseal();
  /// The end: commits what is left and closes the image.
  Status close();

private:
  [[nodiscard]] bool fail(const Error& error, std::string_view during);
  Status take_up(TpmImage image, const std::string& location);
  void claim();
  Status mark_image_ours();
  Status check_can_open(const std::string& location) const;
  [[nodiscard]] bool belongs_to_tpm(const TpmImage& image, std::uint64_t generation) const;
  [[nodiscard]] bool look_again();
  [[nodiscard]] bool is_left_alone(Status& result);
  void mark_image_sealed();
  void note_store();
  void note_room();

  SoftTpm& tpm_;
  const Log& log_;
  const DeviceOptions device_options_;
  const bool seals_;
  const bool shuts_down_;
  const bool confined_;
  std::unique_ptr<Store> store_;
  bool content_may_change_ = false; ///< Of the store's device.
  bool complained_ = false;
  std::atomic<bool> attached_ = false;
  std::atomic<Custody> custody_ = Custody::ours;
  std::atomic<bool> copied_ = false;
  std::atomic<bool> look_again_ = false;
  std::atomic<bool> powering_on_ = false;

  mutable std::mutex mutex_; ///< Guards what follows; never held during I/O.
  std::string location_;
  std::string failure_; ///< Why the TPM has failed.
  std::shared_ptr<ImageTrouble> trouble_;
  std::uint64_t generation_ = 0;
  std::array<std::byte, 16> image_uuid_{};
  BlobRoom room_;
};

} // namespace vnvram
