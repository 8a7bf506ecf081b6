// Key slots: who can open an encrypted image, and the data key as it is wrapped for each of them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "crypto/key_agreement.h"
#include "crypto/passphrase_hash.h"
#include "crypto/sealing_key.h"
#include "format/header_copy.h"
#include "vnvram/key.h"
#include "vnvram/result.h"

namespace vnvram::format {

using KeyId = std::array<std::byte, 16>;

inline constexpr std::size_t key_slot_count_max = 16;
inline constexpr std::size_t key_wraps_max = 2;
inline constexpr std::size_t key_label_max_bytes = 63;
inline constexpr std::size_t key_public_part_max_bytes = 4096;
inline constexpr std::size_t data_key_size_bytes = 32;
/// What a holder's key may have; a passphrase may be shorter.
inline constexpr std::size_t holder_key_min_bytes = 16;
inline constexpr std::size_t holder_key_max_bytes = 8192;

/// One data key, sealed for a slot's holder.
struct KeyWrap {
  KeyId key_id = {};                 ///< Of the data key in it.
  AgreementPublicKey ephemeral = {}; ///< Of kind public_key; else zero.
  SealingKey::Nonce nonce = {};
  std::array<std::byte, data_key_size_bytes> sealed_key = {};
  SealingKey::Tag tag = {};
  SealingKey::Tag voucher = {}; ///< That the slot was made by somebody who had the data key.

  bool operator==(const KeyWrap&) const = default;
};

struct KeySlot {
  std::uint8_t number = 0;
  KeySlotKind kind = KeySlotKind::key;
  std::uint64_t created_seconds = 0;
  std::string label;
  /// Random; of kind public_key: the holder's public key.
  std::array<std::byte, agreement_key_size_bytes> salt = {};
  HashCost cost = {};                 ///< Of kind passphrase; else zero.
  std::vector<KeyWrap> wraps;         ///< 1 or 2, of different data keys.
  std::vector<std::byte> public_part; ///< Of kind external; else empty.

  /// The one of this data key; nullptr: there is none.
  [[nodiscard]] const KeyWrap* wrap_of(const KeyId& key_id) const;

  bool operator==(const KeySlot&) const = default;
};

/// In the order of their numbers, which are all different.
using KeySlots = std::vector<KeySlot>;

/// Errors: invalid_argument for a label that no slot can have.
Status check_key_label(std::string_view label);

/// Errors: no_space (they take more than there is in the header area).
Result<HeaderContent> compose_key_slots(const KeySlots& slots);
/// Nothing, and why, if they cannot be: everything is checked but what is sealed.
[[nodiscard]] std::optional<KeySlots> parse_key_slots(const HeaderContent& content,
                                                      const char*& reason);

/// What a wrap is bound to, beside the data key in it: the image, and what the slot says of itself.
[[nodiscard]] std::vector<std::byte> wrap_associated_data(std::span<const std::byte, 16> uuid,
                                                          const KeySlot& slot, const KeyId& key_id);
/// The same, and the wrap itself: what its voucher vouches for.
[[nodiscard]] std::vector<std::byte> voucher_associated_data(std::span<const std::byte, 16> uuid,
                                                             const KeySlot& slot,
                                                             const KeyWrap& wrap);

} // namespace vnvram::format
