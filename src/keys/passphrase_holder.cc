#include "keys/passphrase_holder.h"

#include <fmt/core.h>

#include "base/plain_text.h"
#include "keys/terminal.h"

namespace vnvram {

Status PassphraseHolder::read() {
  Result<SecretBytes> bytes = read_secret(*input_, format::holder_key_max_bytes);
  if (!bytes) {
    return bytes.error();
  }
  std::span<const std::byte> typed = bytes->get();
  if (!typed.empty() && typed.back() == std::byte{'\n'}) {
    typed = typed.first(typed.size() - 1);
  }
  if (typed.empty()) {
    return Error(ErrorKind::invalid_argument, input_->name() + ": holds no passphrase");
  }
  passphrase_ = SecretBytes(typed);
  return {};
}

Result<std::span<const std::byte>> PassphraseHolder::secret_for(const format::KeySlot& /*slot*/,
                                                                const std::string& image) {
  if (!passphrase_ && input_) {
    if (const Status done = read(); !done) {
      return done.error();
    }
  } else if (!passphrase_) {
    Result<SecretBytes> typed =
        ask_at_terminal(fmt::format("Passphrase of {}: ", plain_text(image)));
    if (!typed) {
      return typed.error();
    }
    passphrase_ = *std::move(typed);
  }
  return std::span<const std::byte>(passphrase_->get());
}

Result<NewHolder> PassphraseHolder::make_new(const std::string& image) {
  if (!passphrase_ && input_) {
    if (const Status done = read(); !done) {
      return done.error();
    }
  } else if (!passphrase_) {
    Result<SecretBytes> typed =
        ask_at_terminal(fmt::format("New passphrase of {}: ", plain_text(image)));
    if (!typed) {
      return typed.error();
    }
    const Result<SecretBytes> again = ask_at_terminal("The same again: ");
    if (!again) {
      return again.error();
    }
    if (again->get() != typed->get()) {
      return Error(ErrorKind::invalid_argument, "the two passphrases differ", "try again");
    }
    passphrase_ = *std::move(typed);
  }
  return NewHolder{.kind = KeySlotKind::passphrase,
                   .secret = passphrase_->get(),
                   .public_key = {},
                   .public_part = {}};
}

} // namespace vnvram
