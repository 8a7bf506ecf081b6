// What an export says of itself: of which image, which generation, and which blobs there were.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/uuid.h"
#include "vnvram/blob.h"
#include "vnvram/result.h"

namespace vnvram {

/// The blob that every export has beside those of its source, which holds its manifest as JSON
/// (docs/format.md). It is no part of what is exported: an export of an image that was one has its
/// own.
inline constexpr std::string_view manifest_blob_name = "vnvram/export";
inline constexpr std::string_view manifest_blob_type = "vnvram-export";

/// One of the source's blobs.
struct ExportedBlob {
  BlobInfo info;            ///< As the source had it.
  std::uint64_t digest = 0; ///< Of its content.

  [[nodiscard]] BlobSpec spec() const;
};

struct ExportManifest {
  Uuid uuid{};                        ///< The source's.
  std::uint64_t generation = 0;       ///< The source's.
  std::optional<std::uint64_t> since; ///< An increment: what changed after that one.
  bool sealed = false;                ///< The source was.
  bool encrypted = false;             ///< The source was. An export does not say so of itself.
  std::vector<ExportedBlob> blobs;    ///< All that there were, in the order of their names.

  [[nodiscard]] const ExportedBlob* find(std::string_view blob) const;
};

/// Of a blob's content. It tells damage and accidents, not forgery.
[[nodiscard]] std::uint64_t digest_of(std::span<const std::byte> content);

/// What no image could have: names that are none or out of order, sizes, more blobs than there can
/// be, all of them together. `who` is named in the error, of kind corrupt.
[[nodiscard]] Status check_blobs(const std::string& who, std::span<const BlobInfo> blobs);

[[nodiscard]] BlobSpec spec_of(const BlobInfo& info);

/// As JSON.
[[nodiscard]] std::string manifest_text(const ExportManifest& manifest);
/// Errors: corrupt (it is not what manifest_text() could have written), too_new.
[[nodiscard]] Result<ExportManifest> parse_manifest(const std::string& who,
                                                    std::span<const std::byte> text);

} // namespace vnvram
