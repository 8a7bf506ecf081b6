#include "convert/swtpm_key_option.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <set>
#include <system_error>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "base/hex.h"
#include "crypto/digest.h"
#include "crypto/key_derivation.h"

namespace vnvram {
namespace {

constexpr std::size_t source_max_bytes = std::size_t{64} << 10U;
// swtpm's, in every version so far.
constexpr std::string_view salt = "swtpm";
constexpr std::uint32_t rounds = 1000;

Error refused_option(std::string_view what) {
  return {ErrorKind::invalid_argument, fmt::format("a key of swtpm's: {}", what),
          "file=PATH or fd=N with format=hex|binary, or pwdfile=PATH or pwdfd=N with "
          "kdf=pbkdf2|sha512; and mode=aes-128-cbc|aes-256-cbc, remove=true|false"};
}

Error unusable(const KeyInput& input, std::string_view what) {
  return {ErrorKind::invalid_argument, fmt::format("{}: {}", input.name(), what)};
}

bool is_space(std::byte byte) {
  const auto character = std::to_integer<char>(byte);
  return character == ' ' || (character >= '\t' && character <= '\r') || character == '\0';
}

/// The digits up to the first space, without the 0x that they may begin with.
std::string_view digits_of(std::span<const std::byte> bytes) {
  const auto end = std::find_if(bytes.begin(), bytes.end(), is_space);
  std::string_view digits(reinterpret_cast<const char*>(bytes.data()),
                          static_cast<std::size_t>(end - bytes.begin()));
  if (digits.starts_with("0x")) {
    digits.remove_prefix(2);
  }
  return digits;
}

} // namespace

Status SwtpmKeyOption::take_source(std::string_view name, std::string_view value) {
  if (!input_.path.empty() || input_.descriptor >= 0) {
    return refused_option("it says more than once where the key is");
  }
  is_passphrase_ = name.starts_with("pwd");
  if (name.ends_with("file")) {
    input_.path = value;
    return value.empty() ? refused_option(fmt::format("{}= names no file", name)) : Status();
  }
  const auto [end, error] =
      std::from_chars(value.data(), value.data() + value.size(), input_.descriptor);
  const bool is_number =
      error == std::errc() && end == value.data() + value.size() && input_.descriptor >= 0;
  return is_number ? Status() : refused_option(fmt::format("{}={} is no descriptor", name, value));
}

Status SwtpmKeyOption::take(std::string_view name, std::string_view value, bool has_value) {
  if (name == "file" || name == "fd" || name == "pwdfile" || name == "pwdfd") {
    return take_source(name, value);
  }
  if (name == "mode" && (value == "aes-cbc" || value == "aes-128-cbc" || value == "aes-256-cbc")) {
    key_size_bytes_ = value == "aes-256-cbc" ? SwtpmKey::size_256_bytes : SwtpmKey::size_128_bytes;
    return {};
  }
  if (name == "format" && (value == "hex" || value == "binary")) {
    format_ = value == "hex" ? Format::hex : Format::binary;
    return {};
  }
  if (name == "kdf" && (value == "pbkdf2" || value == "sha512")) {
    derivation_ = value == "pbkdf2" ? Derivation::rounds : Derivation::digest;
    return {};
  }
  if (name == "remove" &&
      (!has_value || value == "true" || value == "false" || value == "1" || value == "0")) {
    removes_ = !has_value || value == "true" || value == "1";
    return {};
  }
  // Not what it is: it may be the key itself.
  const bool is_known = name == "mode" || name == "format" || name == "kdf" || name == "remove";
  return refused_option(is_known ? fmt::format("{} cannot be that", name)
                                 : "there is a word in it that is not known");
}

Result<SwtpmKeyOption> SwtpmKeyOption::parse(std::string_view text) {
  SwtpmKeyOption option;
  std::set<std::string_view> seen;
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), word.size() + 1));
    const std::size_t equals = word.find('=');
    const bool has_value = equals != std::string_view::npos;
    const std::string_view name = word.substr(0, equals);
    const Status taken =
        option.take(name, has_value ? word.substr(equals + 1) : std::string_view(), has_value);
    if (!taken) {
      return taken.error();
    }
    if (!seen.insert(name).second) {
      return refused_option(fmt::format("{} is there twice", name));
    }
  }
  if (option.input_.path.empty() && option.input_.descriptor < 0) {
    return refused_option("it does not say where the key is");
  }
  return option;
}

Result<SecretBytes> SwtpmKeyOption::key_of(const SecretBytes& bytes) const {
  if (is_passphrase_) {
    if (bytes.get().empty()) { // swtpm takes it, and everybody else can, too.
      return unusable(input_, "there is no passphrase: it is empty");
    }
    if (derivation_ == Derivation::rounds) {
      return derive_key_in_rounds(bytes.get(), std::as_bytes(std::span(salt)), rounds,
                                  key_size_bytes_);
    }
    const Result<SecretBytes> digest = sha512(bytes.get());
    return digest
               ? Result<SecretBytes>(SecretBytes(std::span(digest->get()).first(key_size_bytes_)))
               : digest.error();
  }
  if (format_ == Format::binary) {
    // As swtpm has it: with aes-256-cbc one of 16 bytes is taken, and then means AES-128.
    const std::size_t size_bytes = bytes.get().size();
    return size_bytes == SwtpmKey::size_128_bytes || size_bytes == key_size_bytes_
               ? Result<SecretBytes>(SecretBytes(std::span<const std::byte>(bytes.get())))
               : unusable(input_, fmt::format("{} bytes, and this mode's key has {}", size_bytes,
                                              key_size_bytes_));
  }
  const std::string_view digits = digits_of(bytes.get());
  std::optional<std::vector<std::byte>> parsed =
      digits.size() == 2 * key_size_bytes_ ? parse_hex(digits) : std::nullopt;
  return parsed
             ? Result<SecretBytes>(SecretBytes(*std::move(parsed)))
             : unusable(input_, fmt::format("not {} hexadecimal digits, which are this mode's "
                                            "key; say format=binary of one that is not in digits",
                                            2 * key_size_bytes_));
}

Result<SwtpmKey> SwtpmKeyOption::read() const {
  const Result<SecretBytes> bytes = read_secret(input_, source_max_bytes);
  if (!bytes) {
    return bytes.error();
  }
  Result<SecretBytes> key = key_of(*bytes);
  if (!key) {
    return key.error();
  }
  if (removes_ && !input_.path.empty() && ::unlink(input_.path.c_str()) != 0) {
    return Error(ErrorKind::io, fmt::format("{}: was read, and cannot be removed: {}", input_.path,
                                            std::generic_category().message(errno)));
  }
  return SwtpmKey::make(*std::move(key));
}

} // namespace vnvram
