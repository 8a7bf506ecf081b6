// Whose the TPM's state is, and what may be done with it for that reason.
#pragma once

#include <atomic>

#include "service/log.h"
#include "soft_tpm/soft_tpm.h"

namespace vnvram {

/// A state that was handed over is not committed any more until it is ours again; so that no other
/// process goes on with it, its image is sealed: our own at once, one that both hosts of a
/// migration see before the state leaves, a drive that someone else owns when the machine's QEMU is
/// gone.
///
/// A drive whose content someone else may change underneath is written only while a command is
/// served, and looked at after each power-on before anything is written.
///
/// Threads: any. It decides from memory and waits for nothing; what follows from it is done by
/// TpmStorage.
class Custody {
public:
  /// What has become of the state that the TPM had.
  enum class State {
    ours,
    /// The machine's QEMU has taken a copy of it, for a snapshot or for a migration: which of them,
    /// only what comes next tells. Commands wait.
    handed_over,
    /// That QEMU is gone since. The state goes on elsewhere, if anywhere: commands fail.
    gone,
  };
  struct Setup {
    /// False for a QEMU that does not say when its machine goes on after a snapshot (before 7.2):
    /// the state is ours, always.
    bool seals = true;
    /// Whether a TPM whose power goes is shut down in its guest's stead.
    bool shuts_down = true;
    /// The image is opened when it is needed: a command need not wait until it is attached.
    bool image_comes_by_itself = false;
  };

  /// The two outlive it.
  Custody(const SoftTpm& tpm, Setup setup, const Log& log) : tpm_(tpm), setup_(setup), log_(log) {}
  Custody(const Custody&) = delete;
  Custody& operator=(const Custody&) = delete;

  [[nodiscard]] State state() const { return state_; }
  [[nodiscard]] bool is_ours() const { return state_ == State::ours; }
  /// Whether the TPM has adopted an image, and has it now.
  [[nodiscard]] bool has_image() const { return has_image_; }
  [[nodiscard]] bool content_may_change() const { return content_may_change_; }

  // ---- May a command run?

  /// Whether commands may be taken now: there is an image, the TPM is not just being powered on,
  /// and its state was not just handed over. A TPM in failure mode has nothing to wait for, nor one
  /// that is off: QEMU sends a command before INIT, to see what it talks to, and gives up if there
  /// is no answer.
  [[nodiscard]] bool serves() const;
  /// Asked when nothing can come between the answer and the command: nothing has happened since
  /// TpmStorage::prepare() that it would have to see.
  [[nodiscard]] bool may_run() const;
  /// One is about to: the state goes on here.
  void command_runs() { copied_ = false; }
  /// Whether the TPM may be sent TPM2_Shutdown before its power goes: the state is on our image,
  /// and no copy of it has left that could be what goes on.
  [[nodiscard]] bool may_shut_down() const;

  // ---- What becomes of the state

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
  /// By the word of someone who may say so it is ours, also one that is gone.
  void take_over();
  /// Somebody else has gone on with the state, and with its image. Returns whether that is news.
  bool gone_on_elsewhere();
  /// Around an INIT; `restored`: with a state that QEMU has set, which is ours.
  void power_on_begins() { powering_on_ = true; }
  void powered_on(bool restored);

  /// All of that, for another process that goes on with the TPM.
  struct Standing {
    State state = State::ours;
    bool copied = false;
    bool must_look = false;
  };
  [[nodiscard]] Standing standing() const { return {state_, copied_, look_again_}; }
  /// This one goes on so. The image has been adopted.
  void go_on(Standing standing);

  // ---- What may be done with the image

  void image_adopted(bool content_may_change);
  void image_given_up() { has_image_ = false; }
  /// What was ours is gone with it. Returns false if it was not ours.
  bool image_is_sealed();
  /// Whether a drive has to be looked at before anything is written. Said once, after a power-on.
  [[nodiscard]] bool must_look() { return look_again_.exchange(false) && content_may_change_; }
  /// It was looked at by opening it.
  void has_looked() { look_again_ = false; }
  /// What control commands have changed may be committed with no TPM command about to come.
  [[nodiscard]] bool may_commit_unasked() const { return is_ours() && !content_may_change_; }
  /// The image has to say that the state was handed over.
  [[nodiscard]] bool is_to_be_sealed() const;

private:
  const SoftTpm& tpm_;
  const Setup setup_;
  const Log& log_;
  std::atomic<State> state_ = State::ours;
  std::atomic<bool> has_image_ = false;
  std::atomic<bool> content_may_change_ = false; ///< Of the image, or of the last one.
  std::atomic<bool> copied_ = false;
  std::atomic<bool> look_again_ = false;
  std::atomic<bool> powering_on_ = false;
};

} // namespace vnvram
