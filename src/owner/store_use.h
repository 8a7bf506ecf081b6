// One caller's use of a store that somebody else may exchange.
#pragma once

#include <utility>

#include "owner/store_gate.h"
#include "vnvram/store.h"

namespace vnvram {

/// The store is there, and is the same one, for as long as this exists: so only for one call.
class StoreUse {
public:
  StoreUse(StoreGate::Pass pass, Store& store) : pass_(std::move(pass)), store_(&store) {}

  Store& operator*() { return *store_; }
  const Store& operator*() const { return *store_; }
  Store* operator->() { return store_; }
  const Store* operator->() const { return store_; }

private:
  StoreGate::Pass pass_;
  Store* store_;
};

} // namespace vnvram
