#include "device/rbd_error.h"

#include <cerrno>
#include <system_error>

#include <fmt/core.h>

namespace vnvram {
namespace {

constexpr const char* rights_remedy =
    "check id and keyring; the user needs the capabilities mon 'profile rbd' and osd 'profile rbd'";

} // namespace

bool is_fenced(int result) {
  return result == -ESHUTDOWN;
}

Error rbd_error(std::string_view name, std::string_view what, int result,
                std::chrono::milliseconds timeout) {
  const std::string failed = fmt::format("{}: cannot {}", name, what);
  switch (-result) {
  case ESHUTDOWN: // What Ceph calls EBLOCKLISTED.
    return {ErrorKind::in_use,
            failed + ": the cluster has shut this client out (its blocklist): another owner takes "
                     "the image over",
            "open it again only if it is this machine's turn"};
  case EROFS:
    return {ErrorKind::read_only,
            failed + ": the cluster has it for reading only (as what another one mirrors to it)",
            "a mirrored image is written to where it is primary: `rbd mirror image status`"};
  case ETIMEDOUT:
    return {ErrorKind::io,
            fmt::format("{}: no answer from the cluster for {:g} s", failed,
                        std::chrono::duration<double>(timeout).count()),
            "see `ceph status`; what was on its way may have been done or not"};
  case ENOSPC:
    return {ErrorKind::no_space, failed + ": the cluster or the pool is full", "see `ceph df`"};
  case EDQUOT:
    return {ErrorKind::no_space, failed + ": the pool's quota is used up",
            "see `ceph osd pool get-quota`"};
  case EPERM:
  case EACCES:
    return {ErrorKind::io, failed + ": the cluster does not allow it to this user", rights_remedy};
  case ENOENT: return {ErrorKind::absent, failed + ": there is none"};
  default:
    return {ErrorKind::io, fmt::format("{}: {}", failed, std::generic_category().message(-result))};
  }
}

} // namespace vnvram
