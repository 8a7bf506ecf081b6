// How an engine comes to life: on an image that is there, or on one in the making.
#pragma once

#include <memory>
#include <optional>

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
  static Recovery recovery_of(Engine& engine, bool claims);
  struct Opening {
    format::Superblock superblock; ///< As it was found.
    format::Codec codec;
    bool moved_here = false;
  };
  /// To all attempts to open it.
  struct Known {
    OpenOptions options;
    std::optional<Opening> last;
  };
  /// With an error, `device` is there if it is to be tried anew.
  static Result<std::unique_ptr<Engine>> open_once(std::unique_ptr<BlockDevice>& device,
                                                   Known& known);
  static Result<Opening> check_before_recovery(BlockDevice& device, Known& known);
  /// See Recovery::settle().
  static Result<bool> recover(Engine& engine, Recovery& recovery);
  static bool is_written_to(const Engine& engine);
  static Error written_to(const Engine& engine);
  static Status begin_epoch(Engine& engine, Recovery& recovery);
  /// The threads, and what the options want registered.
  static Status start(Engine& engine);
};

} // namespace vnvram
