#include "backup/export_manifest.h"

#include <algorithm>

#include <fmt/core.h>

#include "base/plain_text.h"
#include "format/checksum.h"
#include "vnvram/store.h"

namespace vnvram {

BlobSpec spec_of(const BlobInfo& info) {
  return {.name = info.name,
          .type = info.type,
          .size_max_bytes = info.size_max_bytes,
          .producer = info.producer,
          .attributes = info.attributes};
}

BlobSpec ExportedBlob::spec() const {
  return spec_of(info);
}

const ExportedBlob* ExportManifest::find(std::string_view blob) const {
  const auto found = std::ranges::lower_bound(
      blobs, blob, {}, [](const ExportedBlob& each) -> std::string_view { return each.info.name; });
  return found != blobs.end() && found->info.name == blob ? &*found : nullptr;
}

std::uint64_t digest_of(std::span<const std::byte> content) {
  return format::checksum(content, 0);
}

Status check_blobs(const std::string& who, std::span<const BlobInfo> blobs) {
  std::string_view last;
  std::vector<BlobSpec> specs;
  for (const BlobInfo& blob : blobs) {
    if (blob.name <= last) {
      return Error(ErrorKind::corrupt,
                   fmt::format("{}: its blobs are not in the order of their names", who));
    }
    if (blob.size_bytes > (blob.generation == 0 ? 0 : blob.size_max_bytes)) {
      return Error(ErrorKind::corrupt, fmt::format("{}: blob {}: it cannot have {} bytes", who,
                                                   plain_text(blob.name), blob.size_bytes));
    }
    last = blob.name;
    specs.push_back(spec_of(blob));
  }
  // It asks of each what the format asks, and of all whether an image can be so large.
  const Result<std::uint64_t> needed = required_size_bytes(specs);
  if (!needed || *needed > image_size_max_bytes || blobs.size() > blob_count_max) {
    return Error(ErrorKind::corrupt,
                 fmt::format("{}: no image can hold such blobs{}", who,
                             needed ? "" : ": " + plain_text(needed.error().cause())));
  }
  return {};
}

} // namespace vnvram
