// A key that is in a file, or comes through a descriptor.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "base/secret_bytes.h"
#include "keys/key_holder.h"
#include "keys/key_input.h"

namespace vnvram {

/// All bytes of a file or a descriptor, or a private key that is in it as PEM.
class FileKeyHolder final : public KeyHolder {
public:
  explicit FileKeyHolder(KeyInput input) : input_(std::move(input)) {}
  /// Was read already, and is no private key.
  explicit FileKeyHolder(SecretBytes key) : key_(std::move(key)) { key_->lock(); }

  Result<std::optional<KeySlotKind>> opens() override;
  Result<std::span<const std::byte>> secret_for(const format::KeySlot& slot,
                                                const std::string& image) override;
  Result<NewHolder> make_new(const std::string& image) override;
  [[nodiscard]] bool is_at_hand(const format::KeySlot& /*slot*/) const override {
    return key_.has_value();
  }
  void read_ahead() override { static_cast<void>(read()); }

private:
  Status read();

  KeyInput input_;
  std::optional<SecretBytes> key_;
  bool private_key_ = false;
};

} // namespace vnvram
