#include "device/reservation_look.h"

#include <fcntl.h>

#include <memory>
#include <string>
#include <string_view>

#include <fmt/core.h>

#include "device/block_reservation_calls.h"
#include "device/location.h"
#include "device/opened_file.h"
#include "device/persistent_reservation.h"
#include "device/place_probe.h"

namespace vnvram {
namespace {

Result<OpenedFile> open_to_look(const std::string& location) {
  return descriptor_of(location) ? open_descriptor(location, Access::read_only)
                                 : open_file(location, Access::read_only);
}

ReservationLook look_by(int fd, const std::string& name) {
  return PersistentReservation(std::make_unique<BlockReservationCalls>(fd), name).look();
}

std::string_view holder_words(ReservationLook::Holder holder) {
  switch (holder) {
  case ReservationLook::Holder::nobody: return "nobody has reserved it";
  case ReservationLook::Holder::this_host: return "this host has reserved it";
  case ReservationLook::Holder::another_host: return "another host has reserved it";
  case ReservationLook::Holder::some_host: return "a host has reserved it, this one or another";
  case ReservationLook::Holder::something_else: break;
  }
  return "something that is not vNVRAM has reserved it";
}

} // namespace

std::string ReservationLook::text() const {
  if (!holder) {
    return possible ? "who has reserved it cannot be told; this host can reserve it if nobody has"
                    : possible.error().cause();
  }
  std::string text(holder_words(*holder));
  if (*holder == Holder::nobody) {
    return text + (possible ? ", and this host can" : "; " + possible.error().cause());
  }
  text += fmt::format(" (key {:#x})", key);
  return possible || *holder == Holder::something_else ? text
                                                       : text + "; " + possible.error().cause();
}

std::optional<ReservationLook> look_for_reservation(const std::string& location) {
  if (is_served(location)) {
    return std::nullopt;
  }
  const Result<OpenedFile> file = open_to_look(location);
  if (!file || !file->block_special) {
    return std::nullopt;
  }
  const std::string name = location_name(location);
  ReservationLook look = look_by(file->fd.get(), name);
  if (look.lacks_right) { // Since Linux 6.6 whoever has it open for writing may reserve it.
    const std::string again = fmt::format("/proc/self/fd/{}", file->fd.get());
    const UniqueFd for_writing(::open(again.c_str(), O_RDWR | O_CLOEXEC));
    look = for_writing.valid() ? look_by(for_writing.get(), name) : look;
  }
  return look;
}

Status check_reservable(const std::string& location) {
  const std::optional<ReservationLook> look = look_for_reservation(location);
  if (look) {
    const Status may_write = look_for_rights(location, {});
    return may_write ? look->possible : may_write;
  }
  if (!is_served(location)) {
    if (const Result<OpenedFile> file = open_to_look(location); !file) {
      return file.error();
    }
  }
  return Error(ErrorKind::invalid_argument,
               location_name(location) + ": is no block device to reserve",
               "leave the reservation out: RBD has a fence of its own, and a file has locks");
}

} // namespace vnvram
