// The lists in a session's requests, which it may have made up.
#pragma once

#include <cstddef>
#include <vector>

#include "rpc/owner.capnp.h"
#include "serve/scope.h"
#include "vnvram/result.h"
#include "vnvram/store.h"

namespace vnvram {

/// Errors: too_large (more than a call may name).
Status check_count(std::size_t count);
/// Errors: those of check_count(), for blobs and attributes together.
Result<std::vector<NewBlob>> read_new_blobs(capnp::List<rpc::NewBlob>::Reader from);
/// Without those that can be no blob's.
std::vector<Grant> read_grants(capnp::List<rpc::Grant>::Reader from);

} // namespace vnvram
