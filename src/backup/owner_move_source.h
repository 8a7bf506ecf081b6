// An image that a running owner has open, to be moved.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

#include "backup/move_source.h"
#include "backup/owner_device.h"
#include "rpc/owner_client.h"

namespace vnvram {

class OwnerMoveSource final : public MoveSource {
public:
  /// The client outlives it. `name`: the owner's socket, for messages.
  OwnerMoveSource(OwnerClient& owner, const std::string& name)
      : owner_(owner), device_(owner, name) {}

  BlockDevice& device() override { return device_; }
  Status begin() override;
  Result<std::vector<ByteRange>> take_written() override;
  Status hold() override;
  void let_go() override;
  Result<Sealed> sealed_superblocks(const HandOverNumber& number) override;
  Status leave(const HandOverNumber& number, const std::string& to) override;
  /// What was asked for over a connection that is lost may still be on its way to that owner: it
  /// finds no hold of ours there any more. What somebody else holds stays held.
  void end_hold(OwnerClient& same_owner, const OwnerStatus& status) const;

private:
  OwnerClient& owner_;
  OwnerDevice device_;
  std::uint64_t mirror_ = 0;
  std::optional<std::uint64_t> hold_; ///< The number of ours.
  std::uint64_t last_hold_ = 0;       ///< Also when it was let go.
  pid_t owner_pid_ = 0;               ///< Another one counts its holds anew.
};

} // namespace vnvram
