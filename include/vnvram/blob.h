// Blobs: what a device registers, and what the image knows about it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace vnvram {

inline constexpr std::size_t blob_name_max_bytes = 63;
inline constexpr std::size_t blob_type_max_bytes = 63;
inline constexpr std::size_t blob_producer_max_bytes = 63;
inline constexpr std::size_t blob_attributes_max_bytes = 176;
inline constexpr std::uint64_t blob_size_max_bytes = std::uint64_t{16} << 20U;
inline constexpr std::size_t blob_count_max = 16384;

/// A named remark about a blob. A reader that does not know a must_know attribute is refused the
/// blob's bytes (ErrorKind::too_new); the others it may ignore.
struct Attribute {
  std::string name;  ///< 1 to 63 bytes of [A-Za-z0-9._/+@-].
  std::string value; ///< Up to 175 bytes, any content; all attributes of a blob share 176 bytes.
  bool must_know = false;

  bool operator==(const Attribute&) const = default;
};

/// What a device registers at start.
struct BlobSpec {
  std::string name; ///< 1 to 63 bytes of [A-Za-z0-9._/+@-], unique in the store.
  std::string type; ///< Same alphabet. Says what the bytes are; a UUID avoids any collision.
  std::uint64_t size_max_bytes = 0; ///< 1 to 16 MiB. The space for it is reserved.
  /// Who writes the bytes and with which version, e.g. "libtpms 0.9.2"; up to 63 printable ASCII
  /// characters. It reaches the image with the blob's next write.
  std::string producer = {};
  std::vector<Attribute> attributes = {};
};

/// What the image says about a blob.
struct BlobInfo {
  std::string name;
  std::string type;
  std::uint64_t size_max_bytes = 0;
  std::uint64_t size_bytes = 0; ///< Bytes beyond it, up to size_max_bytes, are zero.
  /// The commit that last changed the blob; 0 when it was registered and never written.
  std::uint64_t generation = 0;
  std::uint64_t registered_generation = 0; ///< The commit that registered it.
  std::string producer;                    ///< Who wrote the current bytes.
  std::vector<Attribute> attributes;
};

} // namespace vnvram
