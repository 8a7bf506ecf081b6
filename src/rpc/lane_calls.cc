#include "rpc/lane_calls.h"

#include <string>
#include <utility>

#include <capnp/serialize.h>

#include "rpc/blob_requests.h"
#include "rpc/wire.h"

namespace vnvram {

void LaneCalls::open() {
  stream_.lane().open([this](const kj::Array<capnp::word>& message) { take(message); });
}

std::uint32_t LaneCalls::send(const Transaction& transaction, bool deferred, Answered answered) {
  const std::uint32_t number = ++last_number_;
  capnp::MallocMessageBuilder message(static_cast<unsigned>(request_size_words(transaction)));
  auto change = message.initRoot<rpc::LaneChange>();
  change.setNumber(number);
  change.setDeferred(deferred);
  write_updates(change.initUpdates(static_cast<unsigned>(transaction.updates().size())),
                transaction);
  stream_.write_to_lane(message);
  waiting_.emplace(number, std::move(answered));
  return number;
}

void LaneCalls::take(kj::ArrayPtr<const capnp::word> message) {
  try {
    capnp::SegmentArrayMessageReader reader(kj::arrayPtr(&message, 1));
    const auto answer = reader.getRoot<rpc::LaneAnswer>();
    const auto found = waiting_.extract(answer.getNumber());
    if (!found.empty()) {
      found.mapped()(take_answer<std::uint64_t>(
          answer, [](const auto& made) { return made.getGeneration(); }));
    }
  } catch (const kj::Exception& exception) {
    stream_.break_off(std::string("an answer by the lane is none: ") +
                      exception.getDescription().cStr());
  }
}

} // namespace vnvram
