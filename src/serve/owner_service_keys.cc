// OwnerService: who can open the image.
#include <optional>
#include <utility>

#include "rpc/key_slot_wire.h"
#include "rpc/wire.h"
#include "serve/owner_service.h"

namespace vnvram {
namespace {

template <typename Context>
void answer_with_slot(Context& context, const Result<KeySlotInfo>& slot) {
  if (slot) {
    write_key_slot(context.getResults().initSlot(), *slot);
  } else {
    write_failure(context.getResults().initFailure(), slot.error());
  }
}

Error no_receiver() {
  return {ErrorKind::invalid_argument, "no receiver of this session takes the key slot",
          "ask for one first"};
}

} // namespace

kj::Promise<void> OwnerService::keySlots(KeySlotsContext context) {
  const auto found = session_.owner.header.key_slots();
  if (!found) {
    write_failure(context.getResults().initFailure(), found.error());
    return kj::READY_NOW;
  }
  auto slots = context.getResults().initSlots(static_cast<unsigned>(found->size()));
  for (unsigned index = 0; index < slots.size(); ++index) {
    write_key_slot(slots[index], (*found)[index]);
  }
  return kj::READY_NOW;
}

// Nobody is to be asked for a passphrase that is of no use then.
kj::Promise<void> OwnerService::receiveKeySlot(ReceiveKeySlotContext context) {
  const auto asked = context.getParams();
  const Status may = session_.owner.header.check_key_slot(
      asked.getChange() ? std::optional(asked.getNumber()) : std::nullopt);
  Result<KeyOfferReceiver> receiver = may ? KeyOfferReceiver::make() : may.error();
  if (receiver) {
    context.getResults().setReceiver(to_data(receiver->public_key()));
    receiver_ = *std::move(receiver);
  } else {
    write_failure(context.getResults().initFailure(), receiver.error());
  }
  return kj::READY_NOW;
}

template <typename Take>
Result<KeySlotInfo> OwnerService::take_offer(rpc::KeySlotOffer::Reader asked, const Take& take) {
  const std::optional<KeyOfferReceiver> receiver = std::exchange(receiver_, std::nullopt);
  if (!receiver) {
    return no_receiver();
  }
  const Result<KeySlotOffer> offer = read_offer(asked);
  return offer ? take(*offer, *receiver) : offer.error();
}

kj::Promise<void> OwnerService::addKeySlot(AddKeySlotContext context) {
  answer_with_slot(context,
                   take_offer(context.getParams().getOffer(),
                              [&](const KeySlotOffer& offer, const KeyOfferReceiver& receiver) {
                                return session_.owner.header.add_key_slot(offer, receiver);
                              }));
  return kj::READY_NOW;
}

kj::Promise<void> OwnerService::changeKeySlot(ChangeKeySlotContext context) {
  const unsigned number = context.getParams().getNumber();
  answer_with_slot(
      context, take_offer(context.getParams().getOffer(),
                          [&](const KeySlotOffer& offer, const KeyOfferReceiver& receiver) {
                            return session_.owner.header.change_key_slot(number, offer, receiver);
                          }));
  return kj::READY_NOW;
}

kj::Promise<void> OwnerService::removeKeySlot(RemoveKeySlotContext context) {
  const auto asked = context.getParams();
  answer(context, session_.owner.header.remove_key_slot(asked.getNumber(), asked.getLast()));
  return kj::READY_NOW;
}

} // namespace vnvram
