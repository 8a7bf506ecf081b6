#include "rpc/key_slot_wire.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "rpc/wire.h"

namespace vnvram {
namespace {

std::vector<std::byte> copied(capnp::Data::Reader data) {
  const auto bytes = to_span(data);
  return {bytes.begin(), bytes.end()};
}

} // namespace

void write_key_slot(rpc::KeySlot::Builder to, const KeySlotInfo& slot) {
  to.setNumber(slot.number);
  to.setKind(static_cast<std::uint8_t>(slot.kind));
  to.setLabel(slot.label);
  to.setCreatedSeconds(slot.created_seconds);
  to.setPasses(slot.passes);
  to.setMemoryKib(slot.memory_kib);
  to.setPublicKey(to_data(slot.public_key));
  to.setPublicPart(to_data(slot.public_part));
  to.setCurrent(slot.current);
}

KeySlotInfo read_key_slot(rpc::KeySlot::Reader from) {
  return {.number = from.getNumber(),
          .kind = static_cast<KeySlotKind>(from.getKind()),
          .label = to_string(from.getLabel()),
          .created_seconds = from.getCreatedSeconds(),
          .passes = from.getPasses(),
          .memory_kib = from.getMemoryKib(),
          .public_key = copied(from.getPublicKey()),
          .public_part = copied(from.getPublicPart()),
          .current = from.getCurrent()};
}

void write_offer(rpc::KeySlotOffer::Builder to, const KeySlotOffer& offer) {
  to.setKind(static_cast<std::uint8_t>(offer.kind));
  to.setLabel(offer.label);
  to.setPasses(offer.passes);
  to.setMemoryKib(offer.memory_kib);
  to.setSalt(to_data(offer.salt));
  to.setPublicPart(to_data(offer.public_part));
  to.setSealedKey(to_data(offer.sealed_key));
}

Result<KeySlotOffer> read_offer(rpc::KeySlotOffer::Reader from) {
  KeySlotOffer offer{.kind = static_cast<KeySlotKind>(from.getKind()),
                     .label = to_string(from.getLabel()),
                     .passes = from.getPasses(),
                     .memory_kib = from.getMemoryKib(),
                     .salt = {},
                     .public_part = copied(from.getPublicPart()),
                     .sealed_key = copied(from.getSealedKey())};
  const auto salt = to_span(from.getSalt());
  if (salt.size() != offer.salt.size()) {
    return Error(ErrorKind::invalid_argument, "the salt of a key slot has 32 bytes");
  }
  std::ranges::copy(salt, offer.salt.begin());
  return offer;
}

} // namespace vnvram
