// How an image's owner is reached, whoever that is at the moment.
#pragma once

#include <functional>

#include "base/unique_fd.h"
#include "vnvram/result.h"

namespace vnvram {

/// A socket that is connected to the owner. Asked again after each loss of the connection, one call
/// at a time, on any thread; it must not wait for long. Errors: why there is nobody now; of other
/// kinds than io, absent and poisoned: why there never will be.
using Connector = std::function<Result<UniqueFd>()>;

} // namespace vnvram
