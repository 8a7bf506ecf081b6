#include "serve/change_lane.h"

#include <cstdint>
#include <utility>

#include <capnp/serialize.h>
#include <kj/common.h>

#include "rpc/wire.h"
#include "serve/request_lists.h"
#include "serve/session_parts.h"

namespace vnvram {
namespace {

// Beyond it changes do not pile up while they are held.
constexpr std::size_t waiting_max_bytes = message_size_max_bytes;
constexpr unsigned answer_min_words = 64;

capnp::ReaderOptions limits() {
  capnp::ReaderOptions options;
  options.traversalLimitInWords = message_size_max_bytes / sizeof(capnp::word);
  return options;
}

// What one that waits takes beside its message.
constexpr std::size_t waiting_cost_bytes = 1024;

/// What was asked for, read when its turn comes. The transaction borrows the message's bytes.
class Asked {
public:
  explicit Asked(kj::Array<capnp::word> message) : message_(kj::mv(message)), segment_(message_) {}
  Asked(const Asked&) = delete;
  Asked& operator=(const Asked&) = delete;
  ~Asked() = default;

  void read() {
    if (reader_) {
      return;
    }
    reader_.emplace(kj::arrayPtr(&segment_, 1), limits());
    const auto change = reader_->getRoot<rpc::LaneChange>();
    number = change.getNumber();
    deferred = change.getDeferred();
    const Status fits = check_count(change.getUpdates().size());
    transaction = fits ? read_updates(change.getUpdates()) : fits.error();
  }
  [[nodiscard]] std::size_t cost_bytes() const {
    return waiting_cost_bytes + segment_.asBytes().size();
  }

  std::uint32_t number = 0;
  bool deferred = false;
  Result<Transaction> transaction = Transaction();

private:
  const kj::Array<capnp::word> message_;
  const kj::ArrayPtr<const capnp::word> segment_;
  std::optional<capnp::SegmentArrayMessageReader> reader_;
};

} // namespace

Status ChangeLane::open(const SessionChanges& changes) {
  if (changes_) {
    return Error(ErrorKind::in_use, "this session has its lane for changes already");
  }
  changes_.emplace(changes);
  stream_.lane().open([this](kj::Array<capnp::word> message) { take(kj::mv(message)); });
  return {};
}

bool ChangeLane::is_full() const {
  return waiting_bytes_ >= waiting_max_bytes;
}

void ChangeLane::take(kj::Array<capnp::word> message) {
  auto asked = kj::heap<Asked>(kj::mv(message));
  ++session_.call_count;
  waiting_bytes_ += asked->cost_bytes();
  session_.changes.add([this, asked = kj::mv(asked)](Result<StoreUse>& store) mutable {
    asked->read();
    const std::optional<Status> done =
        !store                ? Status(store.error())
        : !asked->transaction ? Status(asked->transaction.error())
                              : changes_->carry_out(**store, *asked->transaction, asked->deferred);
    if (!done) {
      return false;
    }
    waiting_bytes_ -= asked->cost_bytes();
    capnp::MallocMessageBuilder built(answer_min_words);
    auto answer = built.initRoot<rpc::LaneAnswer>();
    answer.setNumber(asked->number);
    if (*done) {
      answer.setGeneration((*store)->info().generation);
    } else {
      session_.owner.counters.add_failed_call(done->error().kind());
      write_failure(answer.initFailure(), done->error());
    }
    stream_.write_to_lane(built);
    return true;
  });
}

} // namespace vnvram
