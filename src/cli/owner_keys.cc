#include "cli/owner_keys.h"

#include <memory>
#include <optional>

#include "cli/owner_socket.h"
#include "vnvram/key_offer.h"

namespace vnvram::cli {
namespace {

/// Has `send(client, offer)` send what the slot's source comes to, for this owner's eyes only: for
/// one more or, with a number, in place of that.
template <typename Send>
Result<KeySlotInfo> offer_to_owner(const std::string& owner, std::optional<unsigned> number,
                                   const NewKeySlot& slot, const Send& send) {
  const auto client = connect_owner(owner);
  const auto receiver = client ? (*client)->receive_key_slot(number) : client.error();
  const auto offer = receiver ? offer_key_slot(slot, owner, *receiver) : receiver.error();
  return offer ? send(**client, *offer) : offer.error();
}

} // namespace

Result<std::vector<KeySlotInfo>> list_slots_by_owner(const std::string& owner) {
  const auto client = connect_owner(owner);
  return client ? (*client)->key_slots() : client.error();
}

Result<KeySlotInfo> add_slot_by_owner(const std::string& owner, const NewKeySlot& slot) {
  return offer_to_owner(
      owner, std::nullopt, slot,
      [](OwnerClient& client, const KeySlotOffer& offer) { return client.add_key_slot(offer); });
}

Result<KeySlotInfo> change_slot_by_owner(const std::string& owner, unsigned number,
                                         const NewKeySlot& slot) {
  return offer_to_owner(owner, number, slot,
                        [number](OwnerClient& client, const KeySlotOffer& offer) {
                          return client.change_key_slot(number, offer);
                        });
}

Status remove_slot_by_owner(const std::string& owner, unsigned number, bool allow_last) {
  const auto client = connect_owner(owner);
  return client ? (*client)->remove_key_slot(number, allow_last) : Status(client.error());
}

} // namespace vnvram::cli
