// What a cluster's administrators have set for an image.
#pragma once

#include "vnvram/result.h"

namespace vnvram {

class RbdHandle;

/// What is set for an image or its pool (`rbd config`) counts more than what a client has set.
/// Errors: unsupported, with the command that mends it (no write would be durable, or a fenced
/// owner would go on writing); io.
Status check_rbd_settings(const RbdHandle& image);

} // namespace vnvram
