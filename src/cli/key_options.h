// Keys of encrypted images, as options on the command line.
#pragma once

#include <CLI/App.hpp>
#include <string>
#include <vector>

#include "vnvram/key.h"
#include "vnvram/key_ring.h"

namespace vnvram::cli {

/// What a key can be written as, for the help of commands that take one.
inline constexpr const char* key_words =
    "KEY is one of\n"
    "  file:PATH[,remove]      all bytes of a file, 16 to 8192, or a private X25519 key in PEM;\n"
    "                          remove: the file is removed when it has been read\n"
    "  fd:N                    the same, of descriptor N\n"
    "  passphrase              is asked for at the terminal\n"
    "  passphrase:file:PATH[,remove], passphrase:fd:N\n"
    "                          what is there, without a newline at its end\n"
    "  exec:COMMAND            what the command writes, given the slot's public part\n"
    "and of a new slot also\n"
    "  public:PATH             a public X25519 key in PEM: its private half opens the image\n"
    "  exec:COMMAND,public=PATH  the same command; the slot's public part is in the file\n";

/// Declares --key, which may be repeated; each goes to `keys`, which `app` must not outlive. What
/// is no KEY is a wrong command line.
void add_keys(CLI::App& app, KeyRing& keys);

/// The same for a command that asks which of them fits.
class KeyOptions {
public:
  void add_to(CLI::App& app);
  /// In the order in which they were given; none is fine for an image that is not encrypted.
  /// Errors: invalid_argument.
  [[nodiscard]] Result<std::vector<KeySource>> keys() const;

private:
  std::vector<std::string> keys_;
};

/// --new-key KEY and --label TEXT: who can open an image from now on. Both may be repeated, if
/// there are to be several; a label is of the key at the same place.
class NewKeyOptions {
public:
  /// `option`: "--key" of a command that opens no image.
  void add_to(CLI::App& app, const std::string& option = "--new-key");
  /// Declares --decrypt as well, for a command that copies an image.
  void add_of_copy_to(CLI::App& app);
  [[nodiscard]] bool decrypts() const { return decrypts_; }
  [[nodiscard]] bool given() const { return !keys_.empty(); }
  /// None of them is a secret, which would open what is made.
  [[nodiscard]] bool are_public() const;
  /// Errors: invalid_argument (also for more labels than keys).
  [[nodiscard]] Result<std::vector<NewKeySlot>> slots() const;
  /// For a command that makes one. Errors: invalid_argument for none, or more.
  [[nodiscard]] Result<NewKeySlot> slot() const;

private:
  std::vector<std::string> keys_;
  std::vector<std::string> labels_;
  bool decrypts_ = false;
};

} // namespace vnvram::cli
