#include "backup/store_move_source.h"

#include "store/counted_device.h"
#include "store/move_marks.h"

namespace vnvram {

Status StoreMoveSource::begin() {
  mirror_ = CountedDevice::of(store_).written().begin();
  return {};
}

Result<std::vector<ByteRange>> StoreMoveSource::take_written() {
  std::vector<ByteRange> ranges;
  return CountedDevice::of(store_).written().take(mirror_, ranges)
             ? Result<std::vector<ByteRange>>(std::move(ranges))
             : Error(ErrorKind::in_use, location_ + ": somebody else has begun to move it");
}

// As ImageKeeper's.
Status StoreMoveSource::hold() {
  if (Status flushed = store_.flush(); !flushed) {
    return flushed;
  }
  return store_.info().content_may_change ? Status() : store_.checkpoint();
}

Result<MoveSource::Sealed> StoreMoveSource::sealed_superblocks(const HandOverNumber& number) {
  const auto blocks = vnvram::sealed_superblocks(store_.device(), number, keys_);
  return blocks ? Result<Sealed>(Sealed{.superblocks = *blocks, .location = location_})
                : blocks.error();
}

Status StoreMoveSource::leave(const HandOverNumber& number, const std::string& to) {
  const Status marked = store_.set_metadata(moved_to_name, move_mark(number, to));
  const Status sealed = marked ? store_.seal(number) : marked;
  return sealed || !marked ? sealed // Whatever has gone wrong, the seal may be there.
                           : Error(ErrorKind::io, sealed.error().cause(), sealed.error().remedy());
}

} // namespace vnvram
