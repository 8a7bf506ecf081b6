// What the control commands do.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/unique_fd.h"
#include "service/log.h"
#include "soft_tpm/soft_tpm.h"
#include "tpm/adopted_image.h"
#include "tpm/control_host.h"
#include "tpm/control_protocol.h"
#include "tpm/custody.h"
#include "tpm/handed_over_states.h"
#include "tpm/tpm_worker.h"

namespace vnvram {

/// What the service has to know of the connection that a request came on.
struct ControlClient {
  std::uint64_t number = 0; ///< Unique in this process.
  CommandSource source = CommandSource::vm;
  /// Others than the owner of a file's mode could listen: no state blobs there.
  bool over_network = false;
  /// The blob that the client is reading in pieces, wrapped as it goes out.
  std::optional<std::uint32_t> blob_type;
  std::vector<std::byte> blob;
  bool blob_is_encrypted = false; ///< With the state's key.
};

/// Answers from memory, always: no request waits for the device. What a request changes is
/// committed by the worker, soon, and before the next TPM command is answered.
///
/// Where the image goes to the other host with the state (ControlHost::hands_image_over()), the
/// answer with the permanent state waits until it is sealed.
///
/// Where the image is opened on demand an INIT and a state that is set wait for it, and an INIT
/// that does not succeed is answered so, as swtpm's callers expect. There, what a request has
/// changed is durable when it is answered.
///
/// The client that hands over a command socket (QEMU does, first of all) is the controller until it
/// disconnects. Beside it others may ask, and what changes state is refused; without it everybody
/// may do everything. When the controller takes the permanent state, it is handed over.
///
/// More than 30 methods: the protocol's commands, which share what a client may do at a moment.
///
/// Threads: one, the control thread.
class ControlService {
public:
  /// `host`: none for an image that is attached and detached by the operator's word. All
  /// outlive it.
  ControlService(SoftTpm& tpm, Custody& custody, const AdoptedImage& image, TpmWorker& worker,
                 const Log& log, ControlHost* host = nullptr)
      : tpm_(tpm), custody_(custody), image_(image), worker_(worker), log_(log), host_(host) {}

  /// A request without a body, and the descriptor that came with it, if one did.
  std::vector<std::byte> handle(ControlClient& client, const ControlRequest& request,
                                UniqueFd passed);

  // A request with a body: first whether it is wanted (if not, its bytes are dropped and the result
  // is the answer), then the bytes as they come, or all of them.
  TpmResult check_body(const ControlClient& client, const ControlRequest& request);
  TpmResult hash_piece(std::span<const std::byte> piece) { return tpm_.hash_data(piece); }
  TpmResult set_state(const ControlRequest& request, const std::vector<std::byte>& blob);

  /// It stays, whoever else has to go.
  [[nodiscard]] bool is_controller(const ControlClient& client) const {
    return controller_ == client.number;
  }
  void client_gone(const ControlClient& client);

  /// The number of the controller, if there is one: for another process that goes on.
  [[nodiscard]] std::optional<std::uint64_t> controller() const { return controller_; }
  void go_on(std::optional<std::uint64_t> controller) { controller_ = controller; }

private:
  [[nodiscard]] bool is_refused(const ControlClient& client, const ControlRequest& request) const;
  [[nodiscard]] TpmResult check_size(const ControlRequest& request, std::uint64_t size_bytes) const;
  TpmResult act(ControlClient& client, const ControlRequest& request, UniqueFd passed);
  TpmResult init(const ControlRequest& request);
  TpmResult init_on_demand(const ControlRequest& request);
  Status power_on(bool delete_volatile);
  void note_power_on(bool delete_volatile) const;
  TpmResult open_storage(ControlHost::Purpose purpose, std::uint32_t retry_count = 0);
  TpmResult stop(ControlCommand command);
  void note_fetched(const ControlClient& client, const ControlRequest& request) const;
  [[nodiscard]] bool may_shut_down() const;
  void note_shutdown() const;
  TpmResult lock_storage(std::uint32_t retry_count);
  TpmResult keep_changes();
  TpmResult store_volatile();
  TpmResult set_data_fd(const ControlClient& client, UniqueFd socket);
  TpmResult set_locality(const ControlClient& client, std::uint8_t locality);
  TpmResult reset_established(std::uint8_t locality);
  std::vector<std::byte> capability() const;
  std::vector<std::byte> info(const ControlRequest& request);
  std::vector<std::byte> established(const ControlClient& client);
  std::vector<std::byte> buffer_size(const ControlRequest& request);
  std::vector<std::byte> config() const;
  Status wrap_state(ControlClient& client, const ControlRequest& request,
                    const std::vector<std::byte>& state) const;
  [[nodiscard]] SwtpmStateBlob::Keys keys() const {
    return host_ != nullptr ? host_->keys() : SwtpmStateBlob::Keys{};
  }
  std::vector<std::byte> state_blob(ControlClient& client, const ControlRequest& request);
  TpmResult hand_over(bool anew);
  /// As it goes out.
  TpmResult state_for(const ControlClient& client, TpmState state, std::vector<std::byte>& content);

  SoftTpm& tpm_;
  Custody& custody_;
  const AdoptedImage& image_;
  TpmWorker& worker_;
  const Log& log_;
  ControlHost* const host_;
  std::optional<std::uint64_t> controller_;
  /// What the image was handed over with, until the machine goes on here, or anything is done to
  /// the TPM.
  std::optional<HandedOverStates> handed_over_;
  /// The controller to whom the image was handed over has not gone: he may say that it goes on.
  bool may_come_back_ = false;
};

} // namespace vnvram
