// A TPM's three blobs as the TPM sees them, in memory.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "soft_tpm/tpm_blobs.h"
#include "vnvram/transaction.h"

namespace vnvram {

/// libtpms hands over its whole state whenever a byte of it changes. The shadow keeps the content
/// and knows which pieces differ from what take_changes() last gave away, so that a command that
/// changes nothing causes no commit, and one that changes little copies little.
///
/// Threads: none of its own; its owner locks.
class NvShadow {
public:
  /// `specs` in the order of TpmState; only their names count.
  explicit NvShadow(const std::vector<BlobSpec>& specs);
  NvShadow(const NvShadow&) = default;
  NvShadow(NvShadow&&) noexcept = default;
  NvShadow& operator=(NvShadow other) noexcept {
    blobs_.swap(other.blobs_);
    return *this;
  }
  /// Overwrites the content: it has a TPM's secrets.
  ~NvShadow();

  /// What the image holds; it is not a change.
  void load(TpmState state, std::vector<std::byte> content);
  /// The TPM's new content, also if the blob on the image has to grow for it. False, and nothing
  /// has changed, if it is larger than any blob (blob_size_max_bytes).
  [[nodiscard]] bool store(TpmState state, std::span<const std::byte> content);
  void erase(TpmState state) { [[maybe_unused]] const bool stored = store(state, {}); }

  [[nodiscard]] const std::string& name(TpmState state) const { return blob_of(state).name; }
  [[nodiscard]] std::span<const std::byte> content(TpmState state) const;
  [[nodiscard]] bool has_changes() const;
  /// Another one whenever the content, or all of it that counts as changed, is another one.
  [[nodiscard]] std::uint64_t revision(TpmState state) const { return blob_of(state).revision; }
  /// Whether this is what take_changes() last left the image's blob at: compared where nothing has
  /// changed since.
  [[nodiscard]] bool matches(TpmState state, std::span<const std::byte> image_content) const;
  /// From now on all of the content counts as changed: whatever the image holds is replaced by it.
  void mark_all();
  /// Everything that has changed, as one transaction that owns its bytes. Afterwards there are no
  /// changes: who takes them sees to it that they become durable.
  [[nodiscard]] Transaction take_changes();

private:
  struct Blob {
    std::string name;
    std::vector<std::byte> content;
    /// What take_changes() last gave away; nullopt: the image's size is not known.
    std::optional<std::uint64_t> size_given_bytes = 0;
    std::vector<bool> piece_changed; ///< As many as the content has ever had.
    std::uint64_t revision = 0;
    bool changed = false;

    void make_pieces(std::size_t size_bytes);
    void mark(std::size_t begin_bytes, std::size_t end_bytes);
  };
  static void take_changes_of(Blob& blob, Transaction& transaction);

  [[nodiscard]] Blob& blob_of(TpmState state) { return blobs_.at(static_cast<std::size_t>(state)); }
  [[nodiscard]] const Blob& blob_of(TpmState state) const {
    return blobs_.at(static_cast<std::size_t>(state));
  }

  std::array<Blob, tpm_state_count> blobs_;
};

} // namespace vnvram
