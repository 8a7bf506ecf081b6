// Where a key of swtpm's comes from, as its command line says it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "convert/swtpm_key.h"
#include "keys/key_input.h"
#include "vnvram/result.h"

namespace vnvram {

/// The value of swtpm's options --key and --migration-key:
///
///   file=PATH|fd=N[,mode=MODE][,format=hex|binary][,remove[=true|false]]
///   pwdfile=PATH|pwdfd=N[,mode=MODE][,kdf=pbkdf2|sha512][,remove[=true|false]]
///
/// MODE is aes-cbc or aes-128-cbc, which mean the same and are what it is without one, or
/// aes-256-cbc. A key is hex if nothing else is said, and a passphrase is every byte that is there,
/// a newline at the end as well. A path cannot have a comma in it.
class SwtpmKeyOption {
public:
  /// Nothing is read yet. Errors: invalid_argument: what swtpm refuses, and what says two things at
  /// once, of which it follows one.
  static Result<SwtpmKeyOption> parse(std::string_view text);

  /// Errors: io, invalid_argument (there is no such key).
  [[nodiscard]] Result<SwtpmKey> read() const;

private:
  enum class Format { hex, binary };
  enum class Derivation { rounds, digest };

  SwtpmKeyOption() = default;
  [[nodiscard]] Status take(std::string_view name, std::string_view value, bool has_value);
  [[nodiscard]] Status take_source(std::string_view name, std::string_view value);
  [[nodiscard]] Result<SecretBytes> key_of(const SecretBytes& bytes) const;

  KeyInput input_; ///< It does not remove the file: that is done when there is a key.
  bool is_passphrase_ = false;
  Format format_ = Format::hex;
  Derivation derivation_ = Derivation::rounds;
  std::size_t key_size_bytes_ = SwtpmKey::size_128_bytes;
  bool removes_ = false;
};

} // namespace vnvram
