// Messages to an owner (owner.capnp), made of a fuzzer's bytes.
#pragma once

#include <cstddef>
#include <vector>

#include "fuzz/fuzz_input.h"

namespace vnvram::fuzz {

/// One message of a session: a call of any method, with names of blobs that may be there, on any
/// capability that it may have, or what a session says of its questions and capabilities. Some of
/// its bytes may be changed afterwards.
[[nodiscard]] std::vector<std::byte> owner_message(FuzzInput& input);
/// The same for a change by the session's lane, which may be open or not.
[[nodiscard]] std::vector<std::byte> lane_message(FuzzInput& input);

} // namespace vnvram::fuzz
