#include "keys/key_holder.h"

#include <fmt/core.h>

namespace vnvram {

Status check_key_size(std::size_t size_bytes, const std::string& name) {
  if (size_bytes < format::holder_key_min_bytes || size_bytes > format::holder_key_max_bytes) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("{}: a key has {} to {} bytes, and there are {}", name,
                             format::holder_key_min_bytes, format::holder_key_max_bytes,
                             size_bytes),
                 "make one with: head -c 32 /dev/urandom");
  }
  return {};
}

} // namespace vnvram
