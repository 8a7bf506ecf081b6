// What a KeySource is inside: it opens slots of one kind, and new slots are made from it.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "format/key_slot.h"
#include "vnvram/key.h"
#include "vnvram/result.h"

namespace vnvram {

/// What a new slot is made of. The secret is the holder's, and lives as long as it does.
struct NewHolder {
  KeySlotKind kind = KeySlotKind::key;
  std::span<const std::byte> secret = {}; ///< Not of kind public_key.
  AgreementPublicKey public_key = {};     ///< Of kind public_key.
  std::vector<std::byte> public_part = {};
};

/// Keeps what it has read, as a descriptor can be read only once.
class KeyHolder {
public:
  KeyHolder() = default;
  KeyHolder(const KeyHolder&) = delete;
  KeyHolder& operator=(const KeyHolder&) = delete;
  virtual ~KeyHolder() = default;

  /// The kind of slots that it opens, which it may have to be read for; nothing: none.
  virtual Result<std::optional<KeySlotKind>> opens() = 0;
  /// What opens this slot, which is of that kind: the key's bytes, the passphrase, the private key,
  /// what the command has made. `image`: its name, for who is asked.
  virtual Result<std::span<const std::byte>> secret_for(const format::KeySlot& slot,
                                                        const std::string& image) = 0;
  virtual Result<NewHolder> make_new(const std::string& image) = 0;

  /// secret_for() reads nothing and starts nothing: for a process that may not any more.
  [[nodiscard]] virtual bool is_at_hand(const format::KeySlot& slot) const = 0;
  /// Has it at hand from now on, as far as that takes nobody's answer and no command. If it cannot
  /// be read now, secret_for() says so.
  virtual void read_ahead() {}
  virtual void run_no_more_commands() {}

  static KeyHolder& of(const KeySource& source) { return *source.holder_; }
};

/// invalid_argument for a key of a length that none has.
Status check_key_size(std::size_t size_bytes, const std::string& name);

} // namespace vnvram
