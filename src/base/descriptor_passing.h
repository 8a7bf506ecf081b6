// Text and descriptors, from one process to another over a socket between them.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/unique_fd.h"
#include "vnvram/result.h"

namespace vnvram {

inline constexpr std::size_t passed_text_max_bytes = 16384;

/// One message of a SOCK_SEQPACKET socket: some text, of 1 to `passed_text_max_bytes`, and a
/// descriptor that the other end gets a copy of. Never waits. Errors: io (also: no room, or nobody
/// is there any more), too_large.
Status pass_descriptor(int channel, std::string_view text, int descriptor);
/// The same without a descriptor.
Status pass_text(int channel, std::string_view text);

struct PassedDescriptor {
  std::string text;
  UniqueFd descriptor; ///< Not valid: none came with the text.
};
/// The next message; nothing if there is none yet. Never waits. Errors: absent (the other end is
/// gone, and nothing of it is left), io (it has sent something else; or it is gone with something
/// that it has not read, and the next call finds what is left).
Result<std::optional<PassedDescriptor>> take_descriptor(int channel);

} // namespace vnvram
