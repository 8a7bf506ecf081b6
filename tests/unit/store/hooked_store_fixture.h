// Stores on devices whose calls a test watches, or lets fail.
#pragma once

#include <memory>
#include <utility>

#include "unit/store/hooked_device.h"
#include "unit/store/store_fixture.h"

namespace vnvram {

class HookedStoreFixture : public StoreFixture {
protected:
  std::unique_ptr<Store> open_hooked(OpenOptions options = inline_options()) {
    auto store = Store::open(std::make_unique<HookedDevice>(disk_, hook_), std::move(options));
    EXPECT_TRUE(store.ok()) << (store ? "" : store.error().text());
    return store ? *std::move(store) : nullptr;
  }

  std::shared_ptr<HookedDevice::Hook> hook_ = std::make_shared<HookedDevice::Hook>();
};

} // namespace vnvram
