// Where a TPM's image is found, for one that takes it only when it is needed.
#pragma once

#include <memory>
#include <string>

#include "vnvram/block_device.h"
#include "vnvram/result.h"

namespace vnvram {

/// Threads: the one that waits for the device (TpmStorage's).
class ImagePlace {
public:
  enum class Visit {
    first, ///< An image may be made, or what another program has there be taken over.
    again, ///< One was there before: if it is not any more, nothing takes its place.
  };

  ImagePlace() = default;
  ImagePlace(const ImagePlace&) = delete;
  ImagePlace& operator=(const ImagePlace&) = delete;
  virtual ~ImagePlace() = default;

  /// The image's location. An image is there when it returns, and nobody else who knows of this
  /// place takes it before leave(). Errors: as the place says; none changes what is there.
  virtual Result<std::string> enter(Visit visit) = 0;
  /// What was entered, for writing; nullptr: what open_device() opens by that location. Errors:
  /// stale: it is not there any more; read_only, io.
  virtual Result<std::unique_ptr<BlockDevice>> open() { return std::unique_ptr<BlockDevice>(); }
  /// Whether what was entered is still what is found there. Errors: stale; absent.
  [[nodiscard]] virtual Status check() const = 0;
  /// The image is not open any more. Harmless when it was not entered.
  virtual void leave() = 0;
};

} // namespace vnvram
