// OwnerClient: who can open the image.
#include <algorithm>
#include <utility>

#include "rpc/key_slot_wire.h"
#include "rpc/owner_client.h"
#include "rpc/owner_link.h"
#include "rpc/wire.h"

namespace vnvram {
namespace {

template <typename Answer> Result<KeySlotInfo> take_key_slot(Answer&& answer) {
  return answer.hasFailure() ? Result<KeySlotInfo>(read_failure(answer.getFailure()))
                             : read_key_slot(answer.getSlot());
}

} // namespace

Result<std::vector<KeySlotInfo>> OwnerClient::key_slots() {
  using Slots = std::vector<KeySlotInfo>;
  return link_->ask<Slots>([](rpc::Owner::Client& owner) {
    return owner.keySlotsRequest().send().then([](auto&& answer) -> Result<Slots> {
      if (answer.hasFailure()) {
        return read_failure(answer.getFailure());
      }
      Slots slots;
      for (const auto slot : answer.getSlots()) {
        slots.push_back(read_key_slot(slot));
      }
      return slots;
    });
  });
}

Result<KeyOfferReceiver::PublicKey> OwnerClient::receive_key_slot(std::optional<unsigned> number) {
  using PublicKey = KeyOfferReceiver::PublicKey;
  return link_->ask<PublicKey>([number](rpc::Owner::Client& owner) {
    auto request = owner.receiveKeySlotRequest();
    request.setChange(number.has_value());
    request.setNumber(number.value_or(0));
    return request.send().then([](auto&& answer) -> Result<PublicKey> {
      if (answer.hasFailure()) {
        return read_failure(answer.getFailure());
      }
      PublicKey key{};
      const auto bytes = to_span(answer.getReceiver());
      if (bytes.size() != key.size()) {
        return Error(ErrorKind::io, "the image's owner has answered with no public key");
      }
      std::ranges::copy(bytes, key.begin());
      return key;
    });
  });
}

Result<KeySlotInfo> OwnerClient::add_key_slot(const KeySlotOffer& offer) {
  return link_->ask<KeySlotInfo>([&offer](rpc::Owner::Client& owner) {
    auto request = owner.addKeySlotRequest();
    write_offer(request.initOffer(), offer);
    return request.send().then([](auto&& answer) { return take_key_slot(answer); });
  });
}

Result<KeySlotInfo> OwnerClient::change_key_slot(unsigned number, const KeySlotOffer& offer) {
  return link_->ask<KeySlotInfo>([number, &offer](rpc::Owner::Client& owner) {
    auto request = owner.changeKeySlotRequest();
    request.setNumber(number);
    write_offer(request.initOffer(), offer);
    return request.send().then([](auto&& answer) { return take_key_slot(answer); });
  });
}

Status OwnerClient::remove_key_slot(unsigned number, bool allow_last) {
  return link_->ask<void>([number, allow_last](rpc::Owner::Client& owner) {
    auto request = owner.removeKeySlotRequest();
    request.setNumber(number);
    request.setLast(allow_last);
    return request.send().then([](auto&& answer) { return take_status(answer); });
  });
}

} // namespace vnvram
