// The pages under a part of a blob, in memory together.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "store/directory.h"
#include "store/page.h"
#include "store/shared_state.h"

namespace vnvram {

/// Collects and loads by turns, until nothing is missing: the content of a blob's pages changes
/// only with its generation, so pages that were loaded one by one belong together if the generation
/// is the same at the end.
///
/// Threads: used by one, on any, beside commits and checkpoints.
class PinnedRange {
public:
  struct Wanted {
    std::string_view name; ///< Outlives the object.
    std::uint64_t offset_bytes = 0;
    std::optional<std::uint64_t> length_bytes; ///< Not set: to the end.
    /// The pages that a write needs, of whatever generations they are, with that of the blob's
    /// directory entry as one more range, of no bytes.
    bool to_change = false;
  };

  PinnedRange(SharedState& state, const Wanted& wanted) : state_(state), wanted_(wanted) {}

  /// True: all pages that are wanted are here; to be read, as of one generation, the blob's as long
  /// as the state's mutex is held. It is needed. Errors: those of Store::read, but for the
  /// device's.
  Result<bool> collect();
  /// Loads what was missing, for the next try. Without the mutex.
  Status load();

  // Once all is here.
  [[nodiscard]] std::size_t size_bytes() const;
  void copy_to(std::span<std::byte> bytes) const;

private:
  [[nodiscard]] Status check_readable(const Blob& blob) const;
  [[nodiscard]] Error load_error(const Error& error) const;

  SharedState& state_;
  const Wanted wanted_;
  std::uint64_t generation_ = 0;
  std::vector<SpaceRange> ranges_; ///< Of the page space, none across a page's end.
  std::vector<PageRef> pages_;     ///< One for each; nullptr: not here.
};

} // namespace vnvram
