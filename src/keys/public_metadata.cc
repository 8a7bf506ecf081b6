#include "vnvram/public_metadata.h"

#include <utility>

#include <fmt/core.h>

#include "format/public_metadata.h"
#include "keys/device_lock.h"
#include "keys/header_area.h"
#include "keys/keyed_image.h"

namespace vnvram {
namespace {

Result<HeaderArea> metadata_area(BlockDevice& device) {
  const Result<format::Superblock> superblock = read_current_superblock(device);
  return superblock ? Result<HeaderArea>(
                          HeaderArea(device, format::HeaderPart::metadata, superblock->uuid))
                    : superblock.error();
}

Result<PublicMetadata> read_all(HeaderArea& area, const std::string& name) {
  const auto content = area.read();
  if (!content) {
    return content.error();
  }
  const char* reason = nullptr;
  auto metadata = format::parse_public_metadata(*content, reason);
  return metadata ? Result<PublicMetadata>(*std::move(metadata))
                  : Error(ErrorKind::corrupt,
                          fmt::format("{}: the public metadata cannot be: {}", name, reason),
                          "neither rot nor a cut makes that: somebody else has written it");
}

template <typename Change> Status change_locked(BlockDevice& device, const Change& change) {
  Result<HeaderArea> area = metadata_area(device);
  if (!area) {
    return area.error();
  }
  Result<PublicMetadata> metadata = read_all(*area, device.name());
  if (!metadata) {
    return metadata.error();
  }
  if (const Status changed = change(*metadata); !changed) {
    return changed;
  }
  const auto content = format::compose_public_metadata(*metadata);
  return content ? area->write(*content) : content.error();
}

template <typename Change> Status change_metadata(BlockDevice& device, const Change& change) {
  DeviceLock lock(device);
  const Status locked = lock.take();
  return locked ? change_locked(device, change) : locked;
}

auto setting(std::string_view name, std::string_view value) {
  return [name, value](PublicMetadata& metadata) -> Status {
    metadata.insert_or_assign(std::string(name), std::string(value));
    return {};
  };
}

} // namespace

Result<PublicMetadata> read_public_metadata(BlockDevice& device) {
  Result<HeaderArea> area = metadata_area(device);
  return area ? read_all(*area, device.name()) : area.error();
}

Status set_public_metadata(BlockDevice& device, std::string_view name, std::string_view value) {
  const Status fits = format::check_public_entry(name, value);
  return fits ? change_metadata(device, setting(name, value)) : fits;
}

Status set_public_metadata_locked(BlockDevice& device, std::string_view name,
                                  std::string_view value) {
  const Status fits = format::check_public_entry(name, value);
  return fits ? change_locked(device, setting(name, value)) : fits;
}

namespace {

auto removing(const std::string& device_name, std::string_view name) {
  return [device_name, name](PublicMetadata& metadata) -> Status {
    return metadata.erase(std::string(name)) > 0
               ? Status{}
               : Error(ErrorKind::not_found,
                       fmt::format("{}: there is no public \"{}\"", device_name, name));
  };
}

} // namespace

Status remove_public_metadata(BlockDevice& device, std::string_view name) {
  return change_metadata(device, removing(device.name(), name));
}

Status remove_public_metadata_locked(BlockDevice& device, std::string_view name) {
  return change_locked(device, removing(device.name(), name));
}

} // namespace vnvram
