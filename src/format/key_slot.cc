#include "format/key_slot.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <type_traits>

#include <fmt/core.h>

#include "base/barrier.h"
#include "format/all_zero.h"
#include "format/text_field.h"

namespace vnvram::format {
namespace {

// What an entry begins with; the wraps and the public part follow.
struct SlotHeader {
  std::uint32_t size_bytes;
  std::uint8_t number;
  std::uint8_t kind;
  std::uint16_t public_part_bytes;
  std::uint64_t created_seconds;
  TextField label;
  std::array<std::byte, agreement_key_size_bytes> salt;
  std::uint32_t passes;
  std::uint32_t memory_kib;
  std::uint32_t lanes;
  std::uint32_t wrap_count;
};
static_assert(sizeof(SlotHeader) == 128);
static_assert(std::has_unique_object_representations_v<SlotHeader>, "no padding");
static_assert(offsetof(SlotHeader, label) == 16);
static_assert(offsetof(SlotHeader, salt) == 80);
static_assert(offsetof(SlotHeader, wrap_count) == 124);

// KeyWrap is on the device as it is in memory.
static_assert(sizeof(KeyWrap) == 136);
static_assert(std::is_trivially_copyable_v<KeyWrap>);
static_assert(offsetof(KeyWrap, ephemeral) == 16);
static_assert(offsetof(KeyWrap, nonce) == 48);
static_assert(offsetof(KeyWrap, tag) == 104);
static_assert(offsetof(KeyWrap, voucher) == 120);

// Its size and how many wraps there are is nothing that a wrap can be bound to: they change with
// the other wrap.
constexpr std::size_t bound_begin = offsetof(SlotHeader, number);
constexpr std::size_t bound_end = offsetof(SlotHeader, wrap_count);

constexpr std::uint32_t argon2_lanes = 1;

std::size_t entry_size(std::size_t wrap_count, std::size_t public_part_bytes) {
  const std::size_t size = sizeof(SlotHeader) + (wrap_count * sizeof(KeyWrap)) + public_part_bytes;
  return (size + 7) / 8 * 8;
}

SlotHeader header_of(const KeySlot& slot) {
  SlotHeader header{};
  header.size_bytes =
      static_cast<std::uint32_t>(entry_size(slot.wraps.size(), slot.public_part.size()));
  header.number = slot.number;
  header.kind = static_cast<std::uint8_t>(slot.kind);
  header.public_part_bytes = static_cast<std::uint16_t>(slot.public_part.size());
  header.created_seconds = slot.created_seconds;
  put_text(header.label, slot.label);
  header.salt = slot.salt;
  header.passes = slot.cost.passes;
  header.memory_kib = slot.cost.memory_kib;
  header.lanes = slot.kind == KeySlotKind::passphrase ? argon2_lanes : 0;
  header.wrap_count = static_cast<std::uint32_t>(slot.wraps.size());
  return header;
}

template <typename Value> void append(std::vector<std::byte>& to, const Value& value) {
  const auto bytes = std::as_bytes(std::span(&value, 1));
  to.insert(to.end(), bytes.begin(), bytes.end());
}

const char* header_fault(const SlotHeader& header, std::size_t rest_bytes) {
  if (header.kind < static_cast<std::uint8_t>(KeySlotKind::key) ||
      header.kind > static_cast<std::uint8_t>(KeySlotKind::external)) {
    return "a key slot of no known kind";
  }
  const auto kind = static_cast<KeySlotKind>(header.kind);
  if (header.number >= key_slot_count_max || header.wrap_count < 1 ||
      header.wrap_count > key_wraps_max) {
    return "impossible number in a key slot";
  }
  if (header.public_part_bytes > (kind == KeySlotKind::external ? key_public_part_max_bytes : 0) ||
      header.size_bytes != entry_size(header.wrap_count, header.public_part_bytes) ||
      header.size_bytes > rest_bytes) {
    return "impossible length of a key slot";
  }
  const HashCost cost{.passes = header.passes, .memory_kib = header.memory_kib};
  const bool cost_fits = kind == KeySlotKind::passphrase
                             ? is_hash_cost(cost) && header.lanes == argon2_lanes
                             : cost == HashCost{} && header.lanes == 0;
  return cost_fits ? nullptr : "a passphrase's cost that cannot be";
}

const char* wrap_fault(const KeySlot& slot) {
  for (const KeyWrap& wrap : slot.wraps) {
    if (slot.kind != KeySlotKind::public_key && wrap.ephemeral != AgreementPublicKey{}) {
      return "reserved bytes are not zero";
    }
  }
  return slot.wraps.size() == 2 && slot.wraps[0].key_id == slot.wraps[1].key_id
             ? "one data key twice in a key slot"
             : nullptr;
}

// Of an entry that begins `bytes`, and is taken off it.
std::optional<KeySlot> parse_slot(std::span<const std::byte>& bytes, const char*& reason) {
  SlotHeader header{};
  reason = "a key slot that is cut off";
  if (bytes.size() < sizeof(header)) {
    return std::nullopt;
  }
  std::memcpy(&header, bytes.data(), sizeof(header));
  reason = header_fault(header, bytes.size());
  if (reason != nullptr) {
    return std::nullopt;
  }
  const auto label = get_text(header.label);
  if (!label || !is_printable(*label)) {
    reason = "unreadable label of a key slot";
    return std::nullopt;
  }
  KeySlot slot{.number = header.number,
               .kind = static_cast<KeySlotKind>(header.kind),
               .created_seconds = header.created_seconds,
               .label = *label,
               .salt = header.salt,
               .cost = {.passes = header.passes, .memory_kib = header.memory_kib},
               .wraps = std::vector<KeyWrap>(header.wrap_count),
               .public_part = {}};
  auto rest = bytes.first(header.size_bytes).subspan(sizeof(header));
  for (KeyWrap& wrap : slot.wraps) {
    std::memcpy(&wrap, rest.data(), sizeof(wrap));
    rest = rest.subspan(sizeof(wrap));
  }
  slot.public_part.assign(rest.begin(), rest.begin() + header.public_part_bytes);
  reason = all_zero(rest.subspan(header.public_part_bytes)) ? wrap_fault(slot)
                                                            : "reserved bytes are not zero";
  if (reason != nullptr) {
    return std::nullopt;
  }
  bytes = bytes.subspan(header.size_bytes);
  return slot;
}

} // namespace

const KeyWrap* KeySlot::wrap_of(const KeyId& key_id) const {
  const auto found = std::ranges::find(wraps, key_id, &KeyWrap::key_id);
  return found == wraps.end() ? nullptr : &*found;
}

Status check_key_label(std::string_view label) {
  if (label.size() > key_label_max_bytes || !is_printable(label)) {
    return Error(ErrorKind::invalid_argument,
                 "the label of a key slot must be up to 63 printable ASCII characters");
  }
  return {};
}

Result<HeaderContent> compose_key_slots(const KeySlots& slots) {
  assert(slots.size() <= key_slot_count_max);
  HeaderContent content;
  content.entry_count = static_cast<std::uint32_t>(slots.size());
  for (const KeySlot& slot : slots) {
    const std::size_t begin = content.entries.size();
    append(content.entries, header_of(slot));
    for (const KeyWrap& wrap : slot.wraps) {
      append(content.entries, wrap);
    }
    content.entries.insert(content.entries.end(), slot.public_part.begin(), slot.public_part.end());
    content.entries.resize(begin + entry_size(slot.wraps.size(), slot.public_part.size()));
  }
  if (content.entries.size() > header_content_max_bytes) {
    return Error(ErrorKind::no_space,
                 fmt::format("the key slots would take {} bytes, and there are {}",
                             content.entries.size(), header_content_max_bytes),
                 "the public parts of external keys are what is long: take one away, or give a "
                 "shorter one");
  }
  return content;
}

std::optional<KeySlots> parse_key_slots(const HeaderContent& content, const char*& reason) {
  KeySlots slots;
  std::span<const std::byte> rest = content.entries;
  reason = "too many key slots";
  if (content.entry_count > key_slot_count_max) {
    return std::nullopt;
  }
  while (slots.size() < content.entry_count) {
    auto slot = parse_slot(rest, reason);
    if (!slot) {
      return std::nullopt;
    }
    if (!slots.empty() && slot->number <= slots.back().number) {
      reason = "key slots that are not in order";
      return std::nullopt;
    }
    slots.push_back(*std::move(slot));
  }
  reason = "bytes behind the last key slot";
  return rest.empty() ? std::optional(std::move(slots)) : std::nullopt;
}

std::vector<std::byte> wrap_associated_data(std::span<const std::byte, 16> uuid,
                                            const KeySlot& slot, const KeyId& key_id) {
  if (!kept(Barrier::slot_bound)) {
    return {};
  }
  std::vector<std::byte> data(uuid.begin(), uuid.end());
  const SlotHeader header = header_of(slot);
  const auto bound =
      std::as_bytes(std::span(&header, 1)).subspan(bound_begin, bound_end - bound_begin);
  data.insert(data.end(), bound.begin(), bound.end());
  data.insert(data.end(), slot.public_part.begin(), slot.public_part.end());
  data.insert(data.end(), key_id.begin(), key_id.end());
  return data;
}

std::vector<std::byte> voucher_associated_data(std::span<const std::byte, 16> uuid,
                                               const KeySlot& slot, const KeyWrap& wrap) {
  std::vector<std::byte> data = wrap_associated_data(uuid, slot, wrap.key_id);
  const auto vouched = std::as_bytes(std::span(&wrap, 1)).first(offsetof(KeyWrap, voucher));
  data.insert(data.end(), vouched.begin(), vouched.end());
  return data;
}

} // namespace vnvram::format
