// An image that this process has open, to be moved.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "backup/move_source.h"
#include "vnvram/key_ring.h"
#include "vnvram/store.h"

namespace vnvram {

/// Whoever has opened it changes nothing while it is held.
class StoreMoveSource final : public MoveSource {
public:
  /// The store outlives it. `location`: where it was opened. `keys`: that open it.
  StoreMoveSource(Store& store, std::string location, KeyRing keys)
      : store_(store), location_(std::move(location)), keys_(std::move(keys)) {}

  BlockDevice& device() override { return store_.device(); }
  Status begin() override;
  Result<std::vector<ByteRange>> take_written() override;
  Status hold() override;
  void let_go() override {}
  Result<Sealed> sealed_superblocks(const HandOverNumber& number) override;
  Status leave(const HandOverNumber& number, const std::string& to) override;

private:
  Store& store_;
  const std::string location_;
  const KeyRing keys_;
  std::uint64_t mirror_ = 0;
};

} // namespace vnvram
