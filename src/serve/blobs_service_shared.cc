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

bool BlobsService::is_shared_and_goes_on() const {
  if (session_.owner.shared == nullptr || session_.owner.hand_over.was_said()) {
    return false;
  }
  Result<StoreUse> store = session_.owner.keeper.use(StoreGate::Purpose::read);
  return store && !(*store)->info().sealed && !(*store)->info().poisoned;
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
  const OwnerParts& owner = session_.owner;
  const Status may = may_change_anything();
  if (may && owner.shared == nullptr) {
    return Error(ErrorKind::unsupported, owner.location + ": no other host sees it",
                 "serve it as one that both hosts see, on both");
  }
  // The image alone would leave the TPM's state behind.
  if (may && owner.tpm_hands_over && !owner.sessions.is_devices(session_.number)) {
    return Error(ErrorKind::unsupported,
                 owner.location + ": its machine has a TPM, with whose state it is handed over, "
                                  "when QEMU fetches and sets that",
                 "nothing has to be said to its owner: migrate the machine");
  }
  return may;
}

// A TPM that has come by itself, as its owner was not told.
Status BlobsService::check_no_tpm_uses_it() {
  see_image();
  const auto blobs = session_.client.blobs();
  if (!blobs) { // Whoever opens it says what is wrong with it.
    return {};
  }
  for (const Peer& peer : session_.owner.sessions.peers()) {
    for (const std::string& name : session_.owner.writers.blobs_of(peer.session)) {
      const auto blob = std::ranges::find(*blobs, name, &BlobInfo::name);
      if (peer.session != session_.number && blob != blobs->end() && is_tpm_type(blob->type)) {
        return Error(ErrorKind::unsupported,
                     session_.owner.location +
                         ": a TPM uses it, with whose state it is handed over",
                     "migrate its machine");
      }
    }
  }
  return {};
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
    Status may = check_what_is_shared();
    may = may ? check_no_tpm_uses_it() : may;
    if (!may) {
      answer(context, may.error());
      return kj::READY_NOW;
    }
    // What was sent is answered already, some of it.
    if (!session_.owner.roundup.run(session_.number, roundup_max)) {
      answer(context, Error(ErrorKind::in_use,
                            session_.owner.location +
                                ": a device is busy still, and what it was answered may not be on "
                                "the image yet",
                            "say it again"));
      return kj::READY_NOW;
    }
  }
  const Result<OwnerEpoch> epoch = session_.owner.holds.in_turn([&]() -> Result<OwnerEpoch> {
    // Another one may have said since, to whom that was known, that the machine goes on here.
    if (session_.owner.sessions.is_ending(session_.number)) {
      return Error(ErrorKind::absent, "whoever wanted the image to be handed over has gone");
    }
    return shared.hand_over(**number);
  });
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
  if (shared.standing() != Standing::ours && !session_.owner.sessions.is_devices(session_.number)) {
    if (const Status may = check_no_tpm_uses_it(); !may) {
      answer(context, may.error());
      return kj::READY_NOW;
    }
  }
  const bool is_taken_back = !from.hand_over && !from.own_epoch;
  // Who has gone begins nothing here, and has maybe told the other host to go on.
  const auto has_gone = [&] { return session_.owner.sessions.is_ending(session_.number); };
  Status gone_on = session_.owner.holds.in_turn([&] {
    return has_gone()      ? Status(Error(ErrorKind::absent, "whoever wanted to go on has gone"))
           : is_taken_back ? shared.take_back()
                           : shared.go_on(from);
  });
  if (gone_on && shared.standing() == Standing::came) {
    gone_on = check_what_is_shared();
    if (!gone_on || has_gone()) {
      [[maybe_unused]] const Status left =
          session_.owner.holds.in_turn([&] { return shared.leave(); });
    }
  }
  answer(context, gone_on);
  return kj::READY_NOW;
}

} // namespace vnvram
