#include "device/unclosed_image.h"

#include <fmt/core.h>

#include "base/host_name.h"

namespace vnvram {

// One of this host that lives has its lock, or is overtaken in order: its epoch is not the image's
// any more.
bool may_be_open_elsewhere(const DeviceCapabilities& can, const LastOwner& owner) {
  return can.unseen_owners && owner.pid != 0 && owner.host != host_name();
}

Error open_elsewhere(const std::string& name, const LastOwner& owner) {
  return {
      ErrorKind::in_use,
      fmt::format("{}: process {} on {} has not closed it, and may have it open: nothing on "
                  "this storage says that it has ended",
                  name, owner.pid, owner.host.empty() ? "an unnamed host" : owner.host),
      "end it there; if that process or its host is dead, or this is a copy of what it has open: "
      "`takeover`, with your word for that"};
}

} // namespace vnvram
