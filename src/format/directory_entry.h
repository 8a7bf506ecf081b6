// Directory entries: between what callers say of a blob and what is on the image.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "format/layout.h"
#include "vnvram/blob.h"
#include "vnvram/result.h"

namespace vnvram::format {

/// invalid_argument, naming the blob and the field, for what no directory can hold.
Status check_spec(const BlobSpec& spec);

/// The attributes' encoding, of at most blob_attributes_max_bytes bytes (check_spec sees to that).
[[nodiscard]] std::size_t encoded_attributes_size_bytes(const std::vector<Attribute>& attributes);

/// An entry of size 0 for a spec that check_spec accepted; runs and generations are the caller's.
[[nodiscard]] DirectoryEntry make_directory_entry(const BlobSpec& spec);
void set_producer(DirectoryEntry& entry, std::string_view producer);

/// Everything that an entry says, or why it cannot be one. The caller checks the runs against the
/// image and the other entries.
struct DecodedEntry {
  BlobInfo info;
  std::vector<PageRun> runs;
};
[[nodiscard]] std::optional<DecodedEntry> decode_directory_entry(const DirectoryEntry& entry,
                                                                 const char*& reason);
[[nodiscard]] bool is_free(const DirectoryEntry& entry);

} // namespace vnvram::format
