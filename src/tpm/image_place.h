// Where a TPM's image is found, for one that takes it only when it is needed.
#pragma once

#include <string>

#include "vnvram/result.h"

namespace vnvram {

/// Threads: the one that waits for the device (TpmStorage's).
class ImagePlace {
public:
  ImagePlace() = default;
  ImagePlace(const ImagePlace&) = delete;
  ImagePlace& operator=(const ImagePlace&) = delete;
  virtual ~ImagePlace() = default;

  /// What open_device() is to open. An image is there when it returns, and nobody else who knows of
  /// this place takes it before leave(). Errors: as the place says; none changes what is there.
  virtual Result<std::string> enter() = 0;
  /// The image is not open any more. Harmless when it was not entered.
  virtual void leave() = 0;
};

} // namespace vnvram
