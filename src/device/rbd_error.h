// What librados and librbd say when they fail, in our words.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "vnvram/result.h"

namespace vnvram {

/// From the negative errno of one of their calls. `name` is the image, `what` was to be done.
/// Kinds: in_use (this client was fenced), no_space, absent, read_only; else io. Nobody waits
/// longer than `timeout` for an answer.
Error rbd_error(std::string_view name, std::string_view what, int result,
                std::chrono::milliseconds timeout);

/// Whether the cluster refuses everything from this client from now on.
[[nodiscard]] bool is_fenced(int result);

} // namespace vnvram
