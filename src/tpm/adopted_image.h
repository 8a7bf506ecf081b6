// The image that the TPM's state is on, and what is known of it without asking.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>

#include "client/image_state.h"
#include "service/log.h"
#include "soft_tpm/soft_tpm.h"
#include "tpm/blob_room.h"
#include "tpm/custody.h"
#include "tpm/tpm_image.h"
#include "vnvram/result.h"

namespace vnvram {

/// Decides whether the TPM may go on with an image that comes, and with whose state. What QEMU has
/// set wins over what the image holds, and the image over what the TPM had.
///
/// Threads: any may ask what is known, and none waits for the device by it. The other calls belong
/// to the thread that waits for the device.
class AdoptedImage {
public:
  /// None so far; `location`: where one may come from. All outlive it.
  AdoptedImage(SoftTpm& tpm, Custody& custody, BlobClient& client, std::string location,
               const Log& log);
  AdoptedImage(const AdoptedImage&) = delete;
  AdoptedImage& operator=(const AdoptedImage&) = delete;

  // ---- Any thread

  /// Of the image, or of the last one.
  [[nodiscard]] std::string location() const;
  [[nodiscard]] ImageState state() const;
  /// Whether the image has room for states of these sizes; without one they will find out when it
  /// is adopted. Errors: those of BlobRoom::check().
  [[nodiscard]] Status check_room(const TpmStateSizes& sizes_bytes) const;

  // ---- The thread that waits for the device

  /// An image that comes, and is sealed.
  enum class Whose {
    as_it_says, ///< It was handed over: the state is not ours any more.
    left_here,  ///< We have sealed it, and nobody has gone on with it: the state is whose it was.
  };
  /// The TPM was made from what was read of the client's image. Errors: those of BlobRoom::of().
  Status start_with(const TpmImage& image);
  /// The client has this image now. If the TPM is in use, with other content than the image's and
  /// none that QEMU has set, it is refused (ErrorKind::stale). Other errors: those of
  /// SoftTpm::adopt(), and of BlobRoom::check() if a state that QEMU has set has no room on it.
  Status adopt(TpmImage image, const std::string& location, Whose whose);
  /// It is of this generation now.
  void committed(std::uint64_t generation);
  /// It says so now that the state was handed over, or that it was not.
  void sealed(bool is_sealed);

private:
  [[nodiscard]] bool belongs_to_tpm(const TpmImage& image, Whose whose) const;
  void note(const ImageState& state, const BlobRoom& room);

  SoftTpm& tpm_;
  Custody& custody_;
  BlobClient& client_;
  const Log& log_;
  mutable std::mutex mutex_; ///< Guards what follows; never held during I/O.
  std::string location_;
  ImageState state_;
  /// What there was when the image was adopted: by as much as a blob grows afterwards there is less
  /// left.
  BlobRoom room_;
};

} // namespace vnvram
