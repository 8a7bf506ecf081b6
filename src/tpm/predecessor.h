// A vnvram-tpm whose machine goes on with another one.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "service/log.h"
#include "soft_tpm/soft_tpm.h"
#include "tpm/adopted_image.h"
#include "tpm/control_server.h"
#include "tpm/control_service.h"
#include "tpm/custody.h"
#include "tpm/running_tpm.h"
#include "tpm/succession_channel.h"
#include "tpm/tpm_storage.h"
#include "tpm/tpm_worker.h"
#include "vnvram/result.h"

namespace vnvram {

/// Gives the TPM to a successor that comes, with all that is not on the image, or goes on itself:
/// one of the two serves the machine and writes the blobs, and nothing is lost.
///
/// Until the successor is ready, and what was under way is finished and durable, the machine
/// notices nothing. From then on its commands and control requests wait until one of the two goes
/// on.
///
/// Threads: the control thread.
class Predecessor {
public:
  /// All outlive it.
  struct Parts {
    SoftTpm& tpm;
    Custody& custody;
    AdoptedImage& image;
    TpmStorage& storage;
    BlobClient& client;
    const ControlService& service;
    const ControlServer& server;
    TpmWorker& worker;
    const Log& log;
    std::string blobs_prefix; ///< Of the TPM's blobs (tpm_blob_name).
  };
  /// `channel`: a socket over which successors' sockets come (descriptor_passing).
  Predecessor(int channel, const Parts& parts) : channel_(channel), parts_(parts) {}
  Predecessor(const Predecessor&) = delete;
  Predecessor& operator=(const Predecessor&) = delete;
  /// What was begun is given up, and the worker stops.
  ~Predecessor() { parts_.worker.stop(); }

  /// What to poll for.
  [[nodiscard]] int fd() const;
  /// Does what there is to be done, after each round of the control thread's. True: the TPM is
  /// another process's, and the worker has stopped.
  [[nodiscard]] bool advance();

private:
  enum class Step { alone, is_coming, settling, settled };

  void look_for_successor();
  void hear_successor();
  bool give(const std::vector<const ControlConnection*>& clients);
  Status let_go_of_image();
  [[nodiscard]] std::vector<std::string> blob_names() const;
  Result<RunningTpm> running_tpm(const std::vector<const ControlConnection*>& clients);
  Status pass(const std::vector<const ControlConnection*>& clients);
  /// True: it has the TPM.
  [[nodiscard]] Result<bool> hand_over(const std::vector<const ControlConnection*>& clients);
  void go_on(const Error& error);
  Status take_image_again();

  int channel_;         ///< -1: nobody comes any more.
  UniqueFd settled_fd_; ///< Readable when the worker has paused.
  const Parts parts_;
  Step step_ = Step::alone;
  std::optional<SuccessionChannel> successor_;
};

} // namespace vnvram
