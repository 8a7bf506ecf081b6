// What an operator asks of an image and its anchor: compare_with_anchor and accept_anchor of
// vnvram/anchor.h.
#include <utility>

#include "anchor/anchor_judge.h"
#include "device/forwarding_device.h"
#include "vnvram/anchor.h"
#include "vnvram/store.h"

namespace vnvram {

// Beside an owner that goes on what is read first is older: it is looked at again while the anchor
// changes.
Result<AnchorComparison> compare_with_anchor(std::unique_ptr<BlockDevice> device, Anchor& anchor,
                                             const KeyRing& keys) {
  constexpr int looks_max = 10;
  const std::string name = device->name();
  Result<std::optional<AnchorPoint>> anchored = anchor.read();
  for (int look = 1; anchored; ++look) {
    const Result<std::unique_ptr<Store>> store = Store::open(
        std::make_unique<ForwardingDevice>(*device), {.access = Access::read_only, .keys = keys});
    if (!store) {
      return store.error();
    }
    const AnchorComparison found = compare(name, (*store)->image_point(), anchor.name(), *anchored);
    Result<std::optional<AnchorPoint>> again = anchored;
    if (found.verdict != AnchorVerdict::at_anchor && look < looks_max) {
      again = anchor.read();
    }
    if (again && *again == *anchored) {
      return found;
    }
    anchored = std::move(again);
  }
  return anchored.error();
}

Status
accept_anchor(std::unique_ptr<BlockDevice> device, std::shared_ptr<Anchor> anchor,
              std::function<Status(BlockDevice& device, const AnchorComparison& found)> accept,
              const KeyRing& keys) {
  OpenOptions options;
  options.keys = keys;
  options.accept_sealed = true;
  options.accept_hand_over = true; // The seal stays.
  options.anchor = {.anchor = std::move(anchor),
                    .policy = {.moment = AnchorPolicy::Moment::open},
                    .accept = std::move(accept)};
  if (!options.anchor.accept) {
    options.anchor.accept = [](BlockDevice&, const AnchorComparison&) { return Status{}; };
  }
  const Result<std::unique_ptr<Store>> store = Store::open(std::move(device), std::move(options));
  return store ? (*store)->close() : store.error();
}

} // namespace vnvram
