#include "vnvram/key_offer.h"

#include <algorithm>
#include <span>
#include <string_view>
#include <utility>

#include "base/uuid.h"
#include "crypto/agreed_key.h"
#include "format/key_slot.h"
#include "keys/key_offer_state.h"

namespace vnvram {

using format::KeySlot;

namespace {

constexpr std::string_view offer_purpose = "vnvram 1 key slot offer";

// What a sealed key consists of, one behind the other.
constexpr std::size_t nonce_begin = agreement_key_size_bytes;
constexpr std::size_t key_begin = nonce_begin + SealingKey::nonce_size_bytes;
constexpr std::size_t tag_begin = key_begin + SealingKey::key_size_bytes;
constexpr std::size_t sealed_key_size_bytes = tag_begin + SealingKey::tag_size_bytes;

static_assert(std::tuple_size_v<decltype(KeySlotOffer::salt)> ==
              std::tuple_size_v<decltype(KeySlot::salt)>);

Error no_such_offer(const char* reason) {
  return {ErrorKind::invalid_argument, std::string("no key slot is made of this: ") + reason};
}

// Of who agrees by a public key that comes from elsewhere.
Error not_agreed(const Error& error) {
  return error.kind() == ErrorKind::corrupt ? no_such_offer("a public key that is none") : error;
}

// All that the offer says is bound to the key in it.
std::vector<std::byte> bound_to(const KeySlot& slot) {
  return format::wrap_associated_data(Uuid{}, slot, {});
}

Result<std::vector<std::byte>> seal_for(const AgreementPublicKey& receiver, const SlotPlan& plan) {
  const auto agreed = make_agreed_key(receiver, offer_purpose);
  const auto nonce = SealingKey::make_nonce();
  if (!agreed || !nonce) {
    return agreed ? nonce.error() : not_agreed(agreed.error());
  }
  std::vector<std::byte> sealed(sealed_key_size_bytes);
  const std::span all(sealed);
  const auto key = all.subspan(key_begin, SealingKey::key_size_bytes);
  SealingKey::Tag tag{};
  std::ranges::copy(agreed->ephemeral, all.begin());
  std::ranges::copy(*nonce, all.subspan(nonce_begin).begin());
  std::ranges::copy(plan.key.get(), key.begin());
  const Status done = agreed->key.seal(*nonce, bound_to(plan.slot), key, tag);
  if (!done) {
    wipe_memory(sealed);
    return done.error();
  }
  std::ranges::copy(tag, all.subspan(tag_begin).begin());
  return sealed;
}

Result<SecretBytes> open_sealed(const KeySlot& slot, std::span<const std::byte> sealed,
                                const KeyOfferState& receiver) {
  if (sealed.size() != sealed_key_size_bytes) {
    return no_such_offer("the length of what is sealed");
  }
  AgreementPublicKey ephemeral{};
  SealingKey::Nonce nonce{};
  SealingKey::Tag tag{};
  std::ranges::copy(sealed.first(nonce_begin), ephemeral.begin());
  std::ranges::copy(sealed.subspan(nonce_begin, nonce.size()), nonce.begin());
  std::ranges::copy(sealed.subspan(tag_begin), tag.begin());
  const auto sealing_key =
      find_agreed_key(receiver.private_key.get(), ephemeral, receiver.public_key, offer_purpose);
  if (!sealing_key) {
    return not_agreed(sealing_key.error());
  }
  const auto bytes = sealed.subspan(key_begin, SealingKey::key_size_bytes);
  std::vector<std::byte> key(bytes.begin(), bytes.end());
  const Status opened = sealing_key->open(nonce, bound_to(slot), key, tag);
  SecretBytes secret(std::move(key));
  if (!opened) {
    return opened.error().kind() == ErrorKind::corrupt ? no_such_offer("it is sealed for another")
                                                       : opened.error();
  }
  return secret;
}

Status check_offer(const KeySlotOffer& offer) {
  if (offer.kind < KeySlotKind::key || offer.kind > KeySlotKind::external) {
    return no_such_offer("its kind");
  }
  if (const Status fits = format::check_key_label(offer.label); !fits) {
    return fits;
  }
  if (offer.public_part.size() >
      (offer.kind == KeySlotKind::external ? format::key_public_part_max_bytes : 0)) {
    return no_such_offer("its public part");
  }
  const HashCost cost{.passes = offer.passes, .memory_kib = offer.memory_kib};
  return (offer.kind == KeySlotKind::passphrase ? is_hash_cost(cost) : cost == HashCost{})
             ? Status{}
             : no_such_offer("a passphrase's cost");
}

// What would be found out only by who opens the slot.
Status check_public_key(const AgreementPublicKey& key) {
  const auto once = make_agreement_key();
  const auto shared = once ? agree(once->get(), key) : once.error();
  return shared ? Status{} : not_agreed(shared.error());
}

} // namespace

Result<KeyOfferReceiver> KeyOfferReceiver::make() {
  auto state = std::make_shared<KeyOfferState>();
  Result<SecretBytes> key = make_agreement_key();
  if (!key) {
    return key.error();
  }
  state->private_key = *std::move(key);
  state->private_key.lock();
  const auto shown = agreement_public_key(state->private_key.get());
  if (!shown) {
    return shown.error();
  }
  state->public_key = *shown;
  return KeyOfferReceiver(std::move(state));
}

const KeyOfferReceiver::PublicKey& KeyOfferReceiver::public_key() const {
  return state_->public_key;
}

Result<KeySlotOffer> offer_key_slot(const NewKeySlot& slot, const std::string& image,
                                    const KeyOfferReceiver::PublicKey& receiver) {
  Result<SlotPlan> plan = plan_slot(slot, image);
  if (!plan) {
    return plan.error();
  }
  auto sealed_key = plan->slot.kind == KeySlotKind::public_key
                        ? Result<std::vector<std::byte>>(std::vector<std::byte>())
                        : seal_for(receiver, *plan);
  if (!sealed_key) {
    return sealed_key.error();
  }
  return KeySlotOffer{.kind = plan->slot.kind,
                      .label = std::move(plan->slot.label),
                      .passes = plan->slot.cost.passes,
                      .memory_kib = plan->slot.cost.memory_kib,
                      .salt = plan->slot.salt,
                      .public_part = std::move(plan->slot.public_part),
                      .sealed_key = *std::move(sealed_key)};
}

Result<SlotPlan> plan_of_offer(const KeySlotOffer& offer, const KeyOfferReceiver& receiver) {
  if (const Status fits = check_offer(offer); !fits) {
    return fits.error();
  }
  SlotPlan plan{.slot = {.number = 0,
                         .kind = offer.kind,
                         .created_seconds = 0,
                         .label = offer.label,
                         .salt = offer.salt,
                         .cost = {.passes = offer.passes, .memory_kib = offer.memory_kib},
                         .wraps = {},
                         .public_part = offer.public_part},
                .key = {}};
  if (offer.kind == KeySlotKind::public_key) {
    const Status fits = offer.sealed_key.empty() ? check_public_key(offer.salt)
                                                 : no_such_offer("what is sealed in it");
    return fits ? Result<SlotPlan>(std::move(plan)) : fits.error();
  }
  Result<SecretBytes> key = open_sealed(plan.slot, offer.sealed_key, receiver.state());
  if (!key) {
    return key.error();
  }
  plan.key = *std::move(key);
  return plan;
}

} // namespace vnvram
