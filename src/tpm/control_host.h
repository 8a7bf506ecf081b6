// What control commands ask of the program, in one that has its image open only while it is needed.
#pragma once

#include <cstdint>

#include "convert/swtpm_state_blob.h"
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

  /// A TPM is to be powered on, to get a state, or to go on: its image is attached when this
  /// returns.
  virtual Status open() = 0;
  /// What the TPM has in memory is durable when this returns, as far as it is ours.
  virtual Status settle() = 0;
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
