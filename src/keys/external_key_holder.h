// A key that a command makes.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/secret_bytes.h"
#include "keys/key_holder.h"

namespace vnvram {

/// A command that makes the key of a slot's public part.
class ExternalKeyHolder final : public KeyHolder {
public:
  ExternalKeyHolder(std::string command, std::string public_part_path)
      : command_(std::move(command)), public_part_path_(std::move(public_part_path)) {}

  Result<std::optional<KeySlotKind>> opens() override { return {KeySlotKind::external}; }
  Result<std::span<const std::byte>> secret_for(const format::KeySlot& slot,
                                                const std::string& image) override;
  Result<NewHolder> make_new(const std::string& image) override;
  [[nodiscard]] bool is_at_hand(const format::KeySlot& slot) const override;
  void run_no_more_commands() override { runs_commands_ = false; }

private:
  struct Made {
    std::vector<std::byte> public_part;
    SecretBytes key;
  };
  Result<std::span<const std::byte>> run(const std::vector<std::byte>& public_part);

  std::string command_;
  std::string public_part_path_;
  std::vector<Made> made_; ///< One for each public part.
  bool runs_commands_ = true;
};

} // namespace vnvram
