#include "keys/slot_plan.h"

#include <chrono>
#include <cstdint>
#include <utility>

#include "base/random_bytes.h"
#include "keys/key_holder.h"
#include "keys/slot_wrap.h"

namespace vnvram {

using format::KeySlot;

namespace {

std::uint64_t seconds_now() {
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::seconds>(
                                        std::chrono::system_clock::now().time_since_epoch())
                                        .count());
}

HashCost cost_of(const NewKeySlot& wanted) {
  const HashCost usual = usual_hash_cost();
  return {.passes = wanted.passes == 0 ? usual.passes : wanted.passes,
          .memory_kib = wanted.memory_kib == 0 ? usual.memory_kib : wanted.memory_kib};
}

} // namespace

Result<SlotPlan> plan_slot(const NewKeySlot& wanted, const std::string& image) {
  if (const Status fits = format::check_key_label(wanted.label); !fits) {
    return fits.error();
  }
  Result<NewHolder> holder = KeyHolder::of(wanted.source).make_new(image);
  if (!holder) {
    return holder.error();
  }
  SlotPlan plan{.slot = {.number = 0,
                         .kind = holder->kind,
                         .created_seconds = 0,
                         .label = wanted.label,
                         .salt = holder->public_key,
                         .cost = {},
                         .wraps = {},
                         .public_part = std::move(holder->public_part)},
                .key = {}};
  if (plan.slot.kind == KeySlotKind::public_key) {
    return plan;
  }
  if (const Status random = random_bytes(plan.slot.salt); !random) {
    return random.error();
  }
  if (plan.slot.kind == KeySlotKind::passphrase) {
    plan.slot.cost = cost_of(wanted);
  }
  Result<SecretBytes> key = slot_key(plan.slot, holder->secret);
  if (!key) {
    return key.error();
  }
  plan.key = *std::move(key);
  return plan;
}

Result<KeySlot> make_slot(const KeyedImage& image, std::span<const std::byte> data_key,
                          unsigned number, const SlotPlan& plan) {
  KeySlot slot = plan.slot;
  slot.number = static_cast<std::uint8_t>(number);
  slot.created_seconds = seconds_now();
  const auto wrap = make_wrap_with(image.uuid, slot, plan.key.get(), data_key);
  if (!wrap) {
    return wrap.error();
  }
  slot.wraps.push_back(*wrap);
  return slot;
}

} // namespace vnvram
