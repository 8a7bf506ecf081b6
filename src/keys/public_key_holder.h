// A public key, of which new slots are made.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "keys/key_holder.h"

namespace vnvram {

/// A public key: whoever has the private one can open what is made with it.
class PublicKeyHolder final : public KeyHolder {
public:
  explicit PublicKeyHolder(std::string path) : path_(std::move(path)) {}

  Result<std::optional<KeySlotKind>> opens() override { return {std::nullopt}; }
  Result<std::span<const std::byte>> secret_for(const format::KeySlot& slot,
                                                const std::string& image) override;
  Result<NewHolder> make_new(const std::string& image) override;
  [[nodiscard]] bool is_at_hand(const format::KeySlot& /*slot*/) const override { return false; }

private:
  std::string path_;
};

} // namespace vnvram
