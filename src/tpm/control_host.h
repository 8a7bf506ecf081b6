// What control commands ask of the program, in one that has its image open only while it is needed.
#pragma once

#include <cstdint>

#include "convert/swtpm_state_blob.h"
#include "vnvram/hand_over.h"
#include "vnvram/result.h"

namespace vnvram {

/// The calls come from the control thread and may wait for the device: so nobody who waits for an
/// answer of this program may be the one who serves it.
class ControlHost {
public:
  ControlHost() = default;
  ControlHost(const ControlHost&) = delete;
  ControlHost& operator=(const ControlHost&) = delete;
  virtual ~ControlHost() = default;

  /// What a TPM is about to do, for which it may need its image.
  enum class Purpose {
    power_on,
    set_state, ///< Get one, which the next INIT takes.
    go_on,     ///< After its state was fetched.
  };
  /// Its image is attached when this returns, if it is needed for that.
  virtual Status open(Purpose purpose) = 0;
  /// What the TPM has in memory is durable when this returns, as far as it is ours.
  virtual Status settle() = 0;
  /// Whether the image goes to the other host with the state: see hand_over().
  [[nodiscard]] virtual bool hands_image_over() const { return false; }
  /// QEMU is about to be given a state, and no command runs: when this returns the image has all of
  /// it, is sealed for this hand-over, and somebody else can have it. Not so: it is here, as it
  /// was, and the state must not go out.
  virtual Status hand_over(const HandOverNumber& /*number*/) { return {}; }
  /// An image that open() has attached is not gone on with.
  virtual void power_on_failed() {}
  /// Whoever may stop the TPM has fetched all of its state.
  virtual void state_was_fetched() = 0;
  /// CMD_SHUTDOWN is about to be answered.
  virtual void was_shut_down() = 0;
  /// What state is encrypted with on its way to the next host, and what that host has encrypted it
  /// with. They outlive this.
  [[nodiscard]] virtual SwtpmStateBlob::Keys keys() const = 0;
  /// The highest locality that a client may set.
  [[nodiscard]] virtual std::uint8_t locality_max() const = 0;
  /// A control client is gone.
  virtual void client_was_lost() = 0;
};

} // namespace vnvram
