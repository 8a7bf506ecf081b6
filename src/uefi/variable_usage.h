// How full a machine's UEFI variables are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>

namespace vnvram {

struct VariableUsage {
  std::uint64_t size_bytes = 0; ///< For variables.
  /// Taken by those that are there. What was deleted or replaced takes space as well, until the
  /// firmware clears it away, which it does when it needs to: it is not counted.
  std::uint64_t used_bytes = 0;
};

/// Fills the buffer from that place of the blob on. False: it cannot.
using ReadFlash = std::function<bool(std::uint64_t offset_bytes, std::span<std::byte> buffer)>;

/// Walks the variables that edk2 has written, by their headers, of at most so many bytes. None:
/// there is no variable store that it would use. A guest writes these bytes: nothing in them is
/// trusted, and a store that ends in nonsense is as full as what is before it.
[[nodiscard]] std::optional<VariableUsage> variable_usage(const ReadFlash& read,
                                                          std::uint64_t size_bytes);

} // namespace vnvram
