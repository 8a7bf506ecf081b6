#include "store/header_area_device.h"

namespace vnvram {

Status HeaderAreaDevice::write_durable(std::uint64_t offset_bytes,
                                       std::span<const std::byte> data) {
  const Status ours = owner_.look();
  return ours ? note(ForwardingDevice::write_durable(offset_bytes, data)) : ours;
}

Status HeaderAreaDevice::ended(const Status& done, std::string_view during) {
  return failure_ ? Status(state_.poison(*failure_, during)) : done;
}

Status HeaderAreaDevice::note(Status done) {
  if (!done && !failure_) {
    failure_ = done.error();
  }
  return done;
}

} // namespace vnvram
