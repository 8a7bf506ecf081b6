// BlobsService: an image that the other host of a migration sees as well.
#include <algorithm>
#include <chrono>
#include <optional>

#include "rpc/wire.h"
#include "serve/blobs_service.h"
#include "serve/shared_blobs.h"

namespace vnvram {
namespace {

using Standing = SharedImage::Standing;

// A session that has not come to it by then waits for the device.
constexpr std::chrono::milliseconds roundup_max = std::chrono::seconds(10);

// Nothing: there is none.
Result<std::optional<HandOverNumber>> read_number(capnp::Data::Reader from) {
  HandOverNumber number;
  if (from.size() == 0) {
    return std::optional<HandOverNumber>();
  }
  if (from.size() != number.bytes.size()) {
    return Error(ErrorKind::invalid_argument, "the number of a hand-over is 16 bytes");
  }
  std::ranges::copy(to_span(from), number.bytes.begin());
  return number.is_none() ? std::optional<HandOverNumber>() : number;
}

} // namespace

bool BlobsService::is_elsewhere() const {
  return session_.owner.shared != nullptr && session_.owner.shared->is_seen_only();
}

bool BlobsService::is_shared_and_waits() const {
  return session_.owner.shared != nullptr && session_.owner.shared->standing() != Standing::ours;
}

void BlobsService::see_image() {
  if (is_elsewhere()) { // What is wrong with it says who reads.
    [[maybe_unused]] const Status seen =
        session_.owner.holds.in_turn([this] { return session_.owner.shared->see(); });
  }
}

bool BlobsService::sees_anew(const Error& error) {
  return is_elsewhere() &&
         (error.kind() == ErrorKind::stale || error.kind() == ErrorKind::corrupt) &&
         session_.owner.holds.in_turn([this] { return session_.owner.shared->see_anew(); }).ok();
}

Result<ImageState> BlobsService::seen_state() {
  see_image();
  Result<ImageState> state = session_.client.state();
  if (state) {
    state->elsewhere = is_elsewhere();
  }
  return state;
}

Status BlobsService::may_hand_over_image() const {
  const Status may = may_change_anything();
  return may && session_.owner.shared == nullptr
             ? Error(ErrorKind::unsupported, session_.owner.location + ": no other host sees it",
                     "serve it as one that both hosts see, on both")
             : may;
}

Status BlobsService::check_what_is_shared() {
  const auto blobs = session_.client.blobs();
  return blobs ? check_shared_blobs(session_.owner.location, *blobs) : blobs.error();
}

kj::Promise<void> BlobsService::letGo(LetGoContext context) {
  const Status may = may_hand_over_image();
  const auto number = may ? read_number(context.getParams().getNumber()) : may.error();
  if (!number) {
    answer(context, number.error());
    return kj::READY_NOW;
  }
  SharedImage& shared = *session_.owner.shared;
  if (!*number) {
    answer(context, session_.owner.holds.in_turn([&] { return shared.leave(); }));
    return kj::READY_NOW;
  }
  if (shared.standing() == Standing::ours) {
    if (const Status may = check_what_is_shared(); !may) {
      answer(context, may.error());
      return kj::READY_NOW;
    }
    // What was sent is answered already, some of it.
    session_.owner.roundup.run(session_.number, roundup_max);
  }
  const Result<OwnerEpoch> epoch =
      session_.owner.holds.in_turn([&] { return shared.hand_over(**number); });
  if (epoch) {
    auto written = context.getResults().initEpoch();
    written.setNumber(epoch->number);
    written.setRandom(epoch->random);
  } else {
    answer(context, epoch.error());
  }
  return kj::READY_NOW;
}

kj::Promise<void> BlobsService::goOn(GoOnContext context) {
  const auto asked = context.getParams();
  const Status may = may_hand_over_image();
  const auto number = may ? read_number(asked.getNumber()) : may.error();
  if (!number) {
    answer(context, number.error());
    return kj::READY_NOW;
  }
  GoOn from{.hand_over = *number};
  if (asked.hasEpoch()) {
    from.own_epoch = {.number = asked.getEpoch().getNumber(),
                      .random = asked.getEpoch().getRandom()};
  }
  SharedImage& shared = *session_.owner.shared;
  Status gone_on = session_.owner.holds.in_turn([&] { return shared.go_on(from); });
  if (gone_on && shared.standing() == Standing::came) {
    gone_on = check_what_is_shared();
    if (!gone_on) {
      [[maybe_unused]] const Status left =
          session_.owner.holds.in_turn([&] { return shared.leave(); });
    }
  }
  answer(context, gone_on);
  return kj::READY_NOW;
}

} // namespace vnvram
