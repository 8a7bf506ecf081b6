// The one question before bytes from outside become a blob's content: are they what its type says?
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "vnvram/blob.h"
#include "vnvram/result.h"

namespace vnvram {

struct CheckedContent {
  /// What the blob is to hold: what was given, or the part of it that is content.
  std::vector<std::byte> bytes;
  /// What the given bytes say about the blob beside its content, for one that is registered now.
  std::vector<Attribute> attributes;
  /// What the user should know: that something was cut off. Empty: nothing.
  std::string note;
};

/// How many bytes a file may have that is to become the content of a blob of this type and largest
/// size. For flash that may be far more than the blob: a chip has room that its firmware does not
/// use.
[[nodiscard]] std::uint64_t content_source_max_bytes(std::string_view type,
                                                     std::uint64_t size_max_bytes);

/// Whether these bytes can be the content of a blob of this type. All of what puts content from
/// outside into an image asks this, unless the user has forced it; devices that write what is
/// theirs do not. Types that are not known take anything.
///
/// edk2.variables: a store of UEFI variables of exactly the blob's size (see
/// VariableStoreTemplate), or empty flash of a chip that is larger than what the firmware uses of
/// it. libtpms.*: a state that libtpms takes, and for the permanent one a state at all.
///
/// `source` is for messages. To be called by one thread at a time, in a process in which no TPM
/// runs. Errors: invalid_argument, with a word on what the bytes are instead; too_large; too_new (a
/// state of a later libtpms).
Result<CheckedContent> check_content(std::string_view type, std::uint64_t size_max_bytes,
                                     std::vector<std::byte> bytes, const std::string& source);

} // namespace vnvram
