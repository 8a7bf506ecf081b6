// What a workload changes next, drawn from its dice.
#pragma once

#include <string>

#include "crash/store_state.h"
#include "support/random.h"

namespace vnvram::test {

enum class DeferredSize { any, small };

/// Of a store that holds what the model says; it has at least one blob.
class RandomChanges {
public:
  explicit RandomChanges(Random& random) : random_(random) {}

  [[nodiscard]] std::string some_blob(const StoreState& state);
  /// Of so many blobs at most. Each at most once, so that the model need not be asked between two
  /// updates.
  [[nodiscard]] Transaction some_updates(const StoreState& state, unsigned count);
  /// A transaction of one range. Most are few bytes in few places, as a guest's EEPROM or flash
  /// driver writes them.
  [[nodiscard]] Transaction some_deferred_write(const StoreState& state, const std::string& blob,
                                                DeferredSize size);

private:
  void add_update(Transaction& transaction, const std::string& blob, const BlobState& state,
                  unsigned kind);

  Random& random_;
};

} // namespace vnvram::test
