// One part of the header area, as docs/format.md has it: two copies, of which one is always whole.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/uuid.h"
#include "format/header_copy.h"
#include "vnvram/block_device.h"
#include "vnvram/result.h"

namespace vnvram {

/// Who writes has the device's lock. Who reads may do so beside a writer, and gets the old or the
/// new.
class HeaderArea {
public:
  HeaderArea(BlockDevice& device, format::HeaderPart part, const Uuid& uuid)
      : device_(&device), part_(part), uuid_(uuid) {}

  /// What is current; without entries if nothing was ever written. Beside a writer that is the old
  /// content or the new one; but beside the first after one that was cut it may be what that cut
  /// has left in a cache. Errors: corrupt, io.
  Result<format::HeaderContent> read();

  /// For who checks or mends an image.
  struct Condition {
    bool is_zero = false;  ///< Nothing was ever written there.
    bool is_empty = false; ///< It has no entries.
    bool is_lost = false;  ///< No copy can be gone by.
    /// Why only one copy has what is current: the other one is lost, or says something older, as a
    /// cut leaves it. Or what the very first write has left, or why both are lost. Empty: both have
    /// it, or nothing is there.
    std::string damage;
    bool is_unfinished = false; ///< A cut has left it so, and no rot.
    /// A damaged one that the other makes again, as it would be then.
    std::optional<unsigned> mendable;
    std::vector<std::byte> mended;
  };
  /// Errors: io.
  Result<Condition> look();

  /// Both copies say this when it returns, durably; after a cut or a failure before that the area
  /// holds the old content or the new one. Errors: as read(), and what writing says.
  Status write(const format::HeaderContent& content);

private:
  struct Copies {
    std::array<format::CheckedHeaderCopy, format::header_copy_count> checked;
    /// The number of the current one; nothing: all is zero.
    std::optional<unsigned> current;
  };

  Result<Copies> read_copies();
  /// The copies' bytes, one behind the other.
  Result<std::vector<std::byte>> read_bytes();
  Result<Copies> judge(std::span<const std::byte> bytes);
  Status write_copy(unsigned copy, std::uint64_t sequence, const format::HeaderContent& content);
  [[nodiscard]] Error damaged(const char* reason) const;

  BlockDevice* device_;
  format::HeaderPart part_;
  Uuid uuid_;
};

} // namespace vnvram
