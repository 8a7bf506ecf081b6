// What is inside of who takes offers of key slots, and what he makes of one.
#pragma once

#include "base/secret_bytes.h"
#include "crypto/key_agreement.h"
#include "keys/slot_plan.h"
#include "vnvram/key_offer.h"
#include "vnvram/result.h"

namespace vnvram {

struct KeyOfferState {
  SecretBytes private_key;
  AgreementPublicKey public_key = {};
};

/// Nothing of the offer is believed. Errors: invalid_argument (no slot can be so, or it was made
/// for another receiver), unsupported, io.
Result<SlotPlan> plan_of_offer(const KeySlotOffer& offer, const KeyOfferReceiver& receiver);

} // namespace vnvram
