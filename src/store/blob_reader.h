// Reads blobs: the state of one generation, without holding up commits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "store/committer.h"
#include "store/pinned_range.h"
#include "store/shared_state.h"

namespace vnvram {

/// What was deferred is seen, too. A read that commits are always ahead of has a turn among them.
///
/// Threads: all calls may come from any thread.
class BlobReader {
public:
  BlobReader(SharedState& state, Committer& committer) : state_(state), committer_(committer) {}

  Result<std::vector<std::byte>> read(std::string_view name);
  /// With zeros beyond the blob's size.
  Status read_range(std::string_view name, std::uint64_t offset_bytes, std::span<std::byte> bytes);

private:
  /// Its bytes go to `content`, which is made as large as the blob, or else to `bytes`.
  struct Read {
    PinnedRange::Wanted wanted;
    std::vector<std::byte>* content = nullptr;
    std::span<std::byte> bytes = {};
  };
  Status carry_out(Read& read);
  /// False: something was missing, and was loaded.
  Result<bool> try_to_read(Read& read, PinnedRange& pinned);
  Result<bool> read_in_turn(Read& read, PinnedRange& pinned);
  static void copy(Read& read, const PinnedRange& pinned);

  SharedState& state_;
  Committer& committer_;
};

} // namespace vnvram
