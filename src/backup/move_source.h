// What a move asks whoever has the image open.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "device/byte_range.h"
#include "store/sealed_superblocks.h"
#include "vnvram/block_device.h"
#include "vnvram/hand_over.h"
#include "vnvram/result.h"

namespace vnvram {

/// Threads: one.
class MoveSource {
public:
  MoveSource() = default;
  MoveSource(const MoveSource&) = delete;
  MoveSource& operator=(const MoveSource&) = delete;
  virtual ~MoveSource() = default;

  /// To be read beside all that is written to it.
  [[nodiscard]] virtual BlockDevice& device() = 0;
  /// What is written is noted from now on, and nobody who has begun before leaves. Errors: in_use
  /// (somebody holds, who may be about to), sealed (somebody has left).
  virtual Status begin() = 0;
  /// What was written since it was asked last. Errors: in_use (somebody else has begun).
  virtual Result<std::vector<ByteRange>> take_written() = 0;
  /// Nothing changes any more, for a while or until let_go(). Errors: in_use (somebody holds).
  virtual Status hold() = 0;
  virtual void let_go() = 0;
  struct Sealed {
    SealedSuperblocks superblocks = {};
    std::string location = {}; ///< Of the image, for who opens what they are written to.
  };
  /// While it is held: see sealed_superblocks(); the same errors.
  virtual Result<Sealed> sealed_superblocks(const HandOverNumber& number) = 0;
  /// While it is held: what is at that location is the image from now on, and this one is sealed.
  /// With io and poisoned nobody knows whether that has happened; other errors: nothing has.
  virtual Status leave(const HandOverNumber& number, const std::string& to) = 0;
};

} // namespace vnvram
