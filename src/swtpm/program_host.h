// What the control commands of a vnvram-swtpm do beside what they do to the TPM.
#pragma once

#include <cstdint>

#include "swtpm/process_end.h"
#include "tpm/control_host.h"
#include "tpm/tpm_storage.h"
#include "tpm/tpm_worker.h"

namespace vnvram {

/// The image is opened by INIT and by a state that is set, and given up, if that is asked for, when
/// the state has gone out: then the next host can have it. CMD_SHUTDOWN ends the process.
class ProgramHost final : public ControlHost {
public:
  struct Rules {
    SwtpmStateBlob::Keys keys;
    bool releases_image = false;   ///< --migration release-lock-outgoing
    bool ends_with_client = false; ///< --ctrl ...,terminate
    bool rejects_locality_4 = false;
  };
  /// All outlive it.
  ProgramHost(TpmStorage& storage, TpmWorker& worker, ProcessEnd& end, Rules rules)
      : storage_(storage), worker_(worker), end_(end), rules_(rules) {}

  Status open(Purpose purpose) override;
  Status settle() override;
  void state_was_fetched() override;
  void was_shut_down() override { end_.ask("CMD_SHUTDOWN"); }
  [[nodiscard]] SwtpmStateBlob::Keys keys() const override { return rules_.keys; }
  [[nodiscard]] std::uint8_t locality_max() const override {
    return rules_.rejects_locality_4 ? 3 : 4;
  }
  void client_was_lost() override;

private:
  TpmStorage& storage_;
  TpmWorker& worker_;
  ProcessEnd& end_;
  const Rules rules_;
};

} // namespace vnvram
