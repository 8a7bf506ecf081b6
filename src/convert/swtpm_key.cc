#include "convert/swtpm_key.h"

#include <algorithm>
#include <utility>

#include <fmt/core.h>

#include "base/random_bytes.h"
#include "crypto/block_chaining.h"
#include "crypto/digest.h"
#include "crypto/message_code.h"

namespace vnvram {
namespace {

Error wrong_key() {
  return {ErrorKind::wrong_key,
          "the key is not the one that it was encrypted with, or it is damaged",
          "give the key as swtpm was given it, mode and kdf included"};
}

Error damaged(std::string_view what) {
  return {ErrorKind::corrupt, fmt::format("what swtpm has encrypted is damaged: {}", what),
          "take it from a backup"};
}

Result<MessageCodeKey::Code> code_of(std::span<const std::byte> key,
                                     std::span<const std::byte> bytes,
                                     std::span<const std::byte> vector) {
  const Result<MessageCodeKey> coder = MessageCodeKey::make(key);
  if (!coder) {
    return coder.error();
  }
  std::vector<std::byte> message(bytes.begin(), bytes.end());
  message.insert(message.end(), vector.begin(), vector.end());
  return coder->code(message);
}

// In a time that does not depend on where they differ.
bool is_same(std::span<const std::byte> left, std::span<const std::byte> right) {
  std::byte difference{static_cast<unsigned char>(left.size() == right.size() ? 0 : 1)};
  for (std::size_t at = 0; at < std::min(left.size(), right.size()); ++at) {
    difference |= left[at] ^ right[at];
  }
  return difference == std::byte{0};
}

} // namespace

Result<SwtpmKey> SwtpmKey::make(SecretBytes bytes) {
  const std::size_t size_bytes = bytes.get().size();
  if (size_bytes != size_128_bytes && size_bytes != size_256_bytes) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("a key of {} bytes: swtpm has them of {} and {}", size_bytes,
                             size_128_bytes, size_256_bytes));
  }
  bytes.lock();
  return SwtpmKey(std::move(bytes));
}

Result<SwtpmKey::Sealed> SwtpmKey::seal(std::span<const std::byte> bytes) const {
  Sealed sealed;
  sealed.vector.resize(size_bytes());
  if (const Status random = random_bytes(sealed.vector); !random) {
    return random.error();
  }
  const std::size_t padding_bytes = size_bytes() - bytes.size() % size_bytes();
  sealed.bytes.reserve(bytes.size() + padding_bytes);
  sealed.bytes.assign(bytes.begin(), bytes.end());
  sealed.bytes.insert(sealed.bytes.end(), padding_bytes, static_cast<std::byte>(padding_bytes));
  ChainingVector first{};
  std::copy_n(sealed.vector.begin(), first.size(), first.begin());
  if (const Status done = encrypt_chained(this->bytes(), first, sealed.bytes); !done) {
    wipe_memory(sealed.bytes);
    return done.error();
  }
  const auto code = code_of(this->bytes(), sealed.bytes, sealed.vector);
  if (!code) {
    return code.error();
  }
  sealed.code.assign(code->begin(), code->end());
  return sealed;
}

Result<SecretBytes> SwtpmKey::decrypt(std::span<const std::byte> bytes,
                                      std::span<const std::byte> vector) const {
  if (bytes.size() < size_bytes() || bytes.size() % chaining_block_size_bytes != 0) {
    return damaged(fmt::format("{} bytes are no whole blocks", bytes.size()));
  }
  ChainingVector first{};
  std::copy_n(vector.begin(), std::min(vector.size(), first.size()), first.begin());
  std::vector<std::byte> opened(bytes.begin(), bytes.end());
  const Status done = decrypt_chained(this->bytes(), first, opened);
  SecretBytes padded(std::move(opened));
  if (!done) {
    return done.error();
  }
  const std::span<const std::byte> all = padded.get();
  const auto padding_bytes = std::to_integer<std::size_t>(all.back());
  if (padding_bytes == 0 || padding_bytes > size_bytes()) {
    return damaged("its padding");
  }
  const auto padding = all.last(padding_bytes);
  if (std::any_of(padding.begin(), padding.end(),
                  [&](std::byte each) { return each != all.back(); })) {
    return damaged("its padding");
  }
  return SecretBytes(all.first(all.size() - padding_bytes));
}

Result<SecretBytes> SwtpmKey::open(std::span<const std::byte> bytes,
                                   std::span<const std::byte> code,
                                   const std::optional<std::span<const std::byte>>& vector) const {
  const auto used_vector = vector.value_or(std::span<const std::byte>());
  const auto expected = code_of(this->bytes(), bytes, used_vector);
  if (!expected) {
    return expected.error();
  }
  if (code.size() < expected->size()) {
    return damaged("its code is too short");
  }
  if (!is_same(code.first(expected->size()), *expected)) {
    return wrong_key();
  }
  if (vector && vector->size() != size_bytes()) {
    return damaged("its vector is not as long as the key");
  }
  return decrypt(bytes, used_vector);
}

Result<SecretBytes> SwtpmKey::open_first_version(std::span<const std::byte> bytes) const {
  Result<SecretBytes> opened = decrypt(bytes, {});
  if (!opened) { // It has nothing else that says whether the key fits.
    return opened.error().kind() == ErrorKind::corrupt ? wrong_key() : opened.error();
  }
  const std::span<const std::byte> all = opened->get();
  constexpr std::size_t digest_size_bytes = Sha256Digest().size();
  if (all.size() < digest_size_bytes) {
    return wrong_key();
  }
  const auto content = all.subspan(digest_size_bytes);
  const Result<Sha256Digest> digest = sha256(content);
  if (!digest) {
    return digest.error();
  }
  return is_same(all.first(digest_size_bytes), *digest) ? Result<SecretBytes>(SecretBytes(content))
                                                        : wrong_key();
}

} // namespace vnvram
