// What control commands of a TPM do to an image that the other host of a migration sees as well.
#pragma once

#include "tpm/control_host.h"
#include "tpm/tpm_storage.h"
#include "tpm/tpm_worker.h"

namespace vnvram {

/// The image is opened by the INIT behind a state that was set, handed over when QEMU fetches the
/// state, and taken back when QEMU says that its machine goes on here.
///
/// Threads: the control thread, which waits for the worker.
class SharedImageHost final : public ControlHost {
public:
  /// Both outlive it.
  SharedImageHost(TpmStorage& storage, TpmWorker& worker) : storage_(storage), worker_(worker) {}

  /// For QEMU's state it waits until the image is free and handed over, five seconds at most: who
  /// had it has let go before that state left, and storage may be slow to show it.
  Status open(Purpose purpose) override;
  /// What has changed under a hold is committed behind it; but an image that has come is not gone
  /// on with, so that fails.
  Status settle() override;
  [[nodiscard]] bool hands_image_over() const override { return true; }
  /// Not under a hold.
  Status hand_over(const HandOverNumber& number) override;
  void power_on_failed() override;
  void state_was_fetched() override {}
  void was_shut_down() override {}
  [[nodiscard]] SwtpmStateBlob::Keys keys() const override { return {}; }
  [[nodiscard]] std::uint8_t locality_max() const override { return 4; }
  void client_was_lost() override {}

private:
  Status settled();

  TpmStorage& storage_;
  TpmWorker& worker_;
};

} // namespace vnvram
