// A passphrase, from a person or a file.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "base/secret_bytes.h"
#include "keys/key_holder.h"
#include "keys/key_input.h"

namespace vnvram {

/// What a person remembers; it is asked for if there is no input.
class PassphraseHolder final : public KeyHolder {
public:
  explicit PassphraseHolder(std::optional<KeyInput> input) : input_(std::move(input)) {}

  Result<std::optional<KeySlotKind>> opens() override { return {KeySlotKind::passphrase}; }
  Result<std::span<const std::byte>> secret_for(const format::KeySlot& slot,
                                                const std::string& image) override;
  Result<NewHolder> make_new(const std::string& image) override;
  [[nodiscard]] bool is_at_hand(const format::KeySlot& /*slot*/) const override {
    return passphrase_.has_value();
  }
  void read_ahead() override {
    if (input_ && !passphrase_) {
      static_cast<void>(read());
    }
  }

private:
  Status read();

  std::optional<KeyInput> input_;
  std::optional<SecretBytes> passphrase_;
};

} // namespace vnvram
