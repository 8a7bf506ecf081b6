// How an engine comes to life: on an image that is there, or on one in the making.
#pragma once

#include <memory>

#include "store/engine.h"
#include "store/recovery.h"

namespace vnvram {

/// Threads: a caller's, which alone knows of the engine until it has it.
class EngineOpener {
public:
  static Result<std::unique_ptr<Engine>> open_for_writing(std::unique_ptr<BlockDevice> device,
                                                          OpenOptions options);
  static Result<std::unique_ptr<Engine>> open_for_reading(std::unique_ptr<BlockDevice> device,
                                                          const OpenOptions& options);
  static Result<std::unique_ptr<Engine>> create(std::unique_ptr<BlockDevice> device,
                                                const format::Superblock& superblock,
                                                format::Codec codec, OpenOptions options);

private:
  static Recovery recovery_of(Engine& engine);
  /// With all that was acknowledged to whoever had it, and nobody adds to it any more.
  static Result<std::unique_ptr<Engine>> recover(std::unique_ptr<BlockDevice> device,
                                                 format::Superblock superblock,
                                                 const OpenOptions& options);
  static Status recover(Engine& engine);
  static Status begin_epoch(Engine& engine);
  /// The threads, and what the options want registered.
  static Status start(Engine& engine);
};

} // namespace vnvram
