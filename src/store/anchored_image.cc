// What an operator asks of an image and its anchor: compare_with_anchor and accept_anchor of
// vnvram/anchor.h.
#include <utility>

#include "anchor/anchor_judge.h"
#include "vnvram/anchor.h"
#include "vnvram/store.h"

namespace vnvram {

Result<AnchorComparison> compare_with_anchor(std::unique_ptr<BlockDevice> device, Anchor& anchor,
                                             const KeyRing& keys) {
  const std::string name = device->name();
  // Before the image: beside an owner that goes on, the image is not behind what was read.
  const Result<std::optional<AnchorPoint>> anchored = anchor.read();
  if (!anchored) {
    return anchored.error();
  }
  const Result<std::unique_ptr<Store>> store =
      Store::open(std::move(device), {.access = Access::read_only, .keys = keys});
  if (!store) {
    return store.error();
  }
  return compare(name, (*store)->image_point(), anchor.name(), *anchored);
}

Status
accept_anchor(std::unique_ptr<BlockDevice> device, std::shared_ptr<Anchor> anchor,
              std::function<Status(BlockDevice& device, const AnchorComparison& found)> accept,
              const KeyRing& keys) {
  OpenOptions options;
  options.keys = keys;
  options.accept_sealed = true;
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
