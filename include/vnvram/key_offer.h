// A key slot for an image that is open elsewhere: what a holder offers, and who takes it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "vnvram/export.h"
#include "vnvram/key.h"
#include "vnvram/result.h"

namespace vnvram {

struct KeyOfferState;

/// What a new key slot is made of, but for the data key. It is made where the holder's secret is
/// (offer_key_slot()), and taken where the image is open (Store::add_key_slot()), so that neither
/// is ever in the other's place. Nobody but the receiver it was made for can read what is secret in
/// it.
struct KeySlotOffer {
  KeySlotKind kind = KeySlotKind::key;
  std::string label;
  std::uint32_t passes = 0; ///< Of a passphrase, as is the next.
  std::uint32_t memory_kib = 0;
  std::array<std::byte, 32> salt = {}; ///< Of kind public_key: the public key.
  std::vector<std::byte> public_part;  ///< Of kind external.
  /// What seals the data key in the slot, encrypted for the receiver. Empty of kind public_key.
  std::vector<std::byte> sealed_key;
};

/// Opens offers that were made for it. Its private key is nowhere else, and is overwritten in
/// memory when its last copy goes.
///
/// A value: copies share what they hold. Threads: any number may use one.
class VNVRAM_API KeyOfferReceiver {
public:
  using PublicKey = std::array<std::byte, 32>; ///< Of X25519.

  /// Errors: io (no random numbers), unsupported (libcrypto cannot do X25519).
  static Result<KeyOfferReceiver> make();
  [[nodiscard]] const PublicKey& public_key() const;

  /// The library's own.
  [[nodiscard]] const KeyOfferState& state() const { return *state_; }

private:
  explicit KeyOfferReceiver(std::shared_ptr<const KeyOfferState> state)
      : state_(std::move(state)) {}

  std::shared_ptr<const KeyOfferState> state_;
};

/// Asks the slot's source for its secret, and does with it what takes time and memory. `image`: its
/// name, for who is asked. Errors: invalid_argument (the label; a receiver's key that is none), and
/// what the source says.
VNVRAM_API Result<KeySlotOffer> offer_key_slot(const NewKeySlot& slot, const std::string& image,
                                               const KeyOfferReceiver::PublicKey& receiver);

} // namespace vnvram
