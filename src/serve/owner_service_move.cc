// OwnerService: the image is moved to another place.
#include <algorithm>
#include <string>
#include <vector>

#include "rpc/wire.h"
#include "serve/owner_service.h"

namespace vnvram {
namespace {

Result<HandOverNumber> read_number(capnp::Data::Reader data) {
  HandOverNumber number;
  if (data.size() != number.bytes.size()) {
    return Error(ErrorKind::invalid_argument, "the number of a hand-over has 16 bytes");
  }
  std::ranges::copy(to_span(data), number.bytes.begin());
  return number;
}

} // namespace

kj::Promise<void> OwnerService::written(WrittenContext context) {
  std::uint64_t mirror = context.getParams().getMirror();
  const Status may = session_.owner.departure.check();
  const auto ranges = may ? session_.owner.holds.in_turn([&] { // Nobody begins to hold meanwhile.
    return session_.owner.keeper.take_written(mirror);
  })
                          : Result<std::vector<ByteRange>>(may.error());
  if (!ranges) {
    answer(context, ranges.error());
    return kj::READY_NOW;
  }
  context.getResults().setMirror(mirror);
  auto list = context.getResults().initRanges(static_cast<unsigned>(ranges->size()));
  for (unsigned index = 0; index < list.size(); ++index) {
    list[index].setOffsetBytes((*ranges)[index].offset_bytes);
    list[index].setLengthBytes((*ranges)[index].length_bytes);
  }
  return kj::READY_NOW;
}

kj::Promise<void> OwnerService::sealedSuperblocks(SealedSuperblocksContext context) {
  const Result<HandOverNumber> number = read_number(context.getParams().getHandOver());
  const auto blocks = number ? session_.owner.keeper.sealed_superblocks(*number)
                             : Result<SealedSuperblocks>(number.error());
  if (!blocks) {
    answer(context, blocks.error());
    return kj::READY_NOW;
  }
  auto list = context.getResults().initBlocks(static_cast<unsigned>(blocks->size()));
  for (unsigned index = 0; index < list.size(); ++index) {
    list.set(index, to_data(blocks->at(index)));
  }
  context.getResults().setLocation(session_.owner.departure.location());
  return kj::READY_NOW;
}

kj::Promise<void> OwnerService::leave(LeaveContext context) {
  const auto asked = context.getParams();
  const Result<HandOverNumber> number = read_number(asked.getHandOver());
  answer(context, number ? session_.owner.departure.leave(asked.getHold(), *number,
                                                          to_string(asked.getLocation()))
                         : Status(number.error()));
  return kj::READY_NOW;
}

} // namespace vnvram
