#include "crypto/sealing_key.h"

#include <algorithm>
#include <cassert>
#include <limits>
#include <utility>

#include <openssl/evp.h>

#include "base/random_bytes.h"

namespace vnvram {
namespace {

constexpr std::size_t cipher_block_bytes = 16;
constexpr std::size_t derived_nonce_bytes = 12; // The second half of the nonce: AES-GCM's own.
constexpr std::size_t bytes_at_once_max = std::size_t{1} << 30U;

using CipherBlock = std::array<std::byte, cipher_block_bytes>;

struct ContextRelease {
  void operator()(EVP_CIPHER_CTX* context) const { ::EVP_CIPHER_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_CIPHER_CTX, ContextRelease>;

const unsigned char* in(std::span<const std::byte> bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

unsigned char* out(std::span<std::byte> bytes) {
  return reinterpret_cast<unsigned char*>(bytes.data());
}

Error failed(const char* what) {
  return {ErrorKind::unsupported, std::string("libcrypto cannot ") + what,
          "does this system's policy for it allow AES-256-GCM?"};
}

// Of GF(2^128), as CMAC doubles it (NIST SP 800-38B, 6.1).
void double_block(std::span<std::byte, cipher_block_bytes> block) {
  const bool carries = (block[0] & std::byte{0x80}) != std::byte{0};
  for (std::size_t place = 0; place + 1 < block.size(); ++place) {
    block[place] = block[place] << 1U | block[place + 1] >> 7U;
  }
  block.back() = block.back() << 1U ^ (carries ? std::byte{0x87} : std::byte{0});
}

// In place: a part of the work after the other, since libcrypto counts in int.
bool update(EVP_CIPHER_CTX* context, std::span<std::byte> bytes) {
  while (!bytes.empty()) {
    const auto part = bytes.first(std::min(bytes.size(), bytes_at_once_max));
    int done = 0;
    if (::EVP_CipherUpdate(context, out(part), &done, in(part), static_cast<int>(part.size())) !=
            1 ||
        static_cast<std::size_t>(done) != part.size()) {
      return false;
    }
    bytes = bytes.subspan(part.size());
  }
  return true;
}

bool update_associated_data(EVP_CIPHER_CTX* context, std::span<const std::byte> data) {
  if (data.size() > bytes_at_once_max) {
    return false;
  }
  int done = 0;
  return data.empty() ||
         ::EVP_CipherUpdate(context, nullptr, &done, in(data), static_cast<int>(data.size())) == 1;
}

} // namespace

/// Fetched once: libcrypto looks them up for long.
struct SealingKey::Cipher {
  EVP_CIPHER* blocks = nullptr; // AES-256, block by block.
  EVP_CIPHER* gcm = nullptr;
};

void SealingKey::CipherRelease::operator()(Cipher* cipher) const {
  const std::unique_ptr<Cipher> owner(cipher);
  ::EVP_CIPHER_free(cipher->blocks);
  ::EVP_CIPHER_free(cipher->gcm);
}

SealingKey::SealingKey(std::unique_ptr<Cipher, CipherRelease> cipher, SecretBytes key)
    : cipher_(std::move(cipher)), key_(std::move(key)) {}

Result<SealingKey> SealingKey::make(std::span<const std::byte> key) {
  if (key.size() != key_size_bytes) {
    return Error(ErrorKind::invalid_argument, "a key has 32 bytes");
  }
  std::unique_ptr<Cipher, CipherRelease> cipher(new Cipher);
  cipher->blocks = ::EVP_CIPHER_fetch(nullptr, "AES-256-ECB", nullptr);
  cipher->gcm = ::EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr);
  if (cipher->blocks == nullptr || cipher->gcm == nullptr) {
    return failed("encrypt: it has no AES-256-GCM");
  }
  SealingKey made(std::move(cipher), SecretBytes(key));
  std::vector<std::byte> subkey(cipher_block_bytes);
  const Context context(::EVP_CIPHER_CTX_new());
  int done = 0;
  if (context == nullptr ||
      ::EVP_EncryptInit_ex2(context.get(), made.cipher_->blocks, in(key), nullptr, nullptr) != 1 ||
      ::EVP_EncryptUpdate(context.get(), out(subkey), &done, in(subkey),
                          static_cast<int>(subkey.size())) != 1) {
    return failed("encrypt");
  }
  double_block(std::span(subkey).first<cipher_block_bytes>());
  made.subkey_ = SecretBytes(std::move(subkey));
  made.key_.lock();
  made.subkey_.lock();
  return made;
}

Result<SealingKey::Nonce> SealingKey::make_nonce() {
  Nonce nonce{};
  Status made = random_bytes(nonce);
  return made ? Result<Nonce>(nonce) : made.error();
}

// Two blocks of counter-mode KDF with CMAC (NIST SP 800-108): a counter, the label "X", a zero, and
// the first half of the nonce, which together are just one block each.
Result<SecretBytes> SealingKey::derive(const Nonce& nonce) const {
  std::vector<std::byte> blocks(2 * cipher_block_bytes);
  for (std::size_t number = 0; number < 2; ++number) {
    const auto block = std::span(blocks).subspan(number * cipher_block_bytes, cipher_block_bytes);
    block[1] = static_cast<std::byte>(number + 1);
    block[2] = std::byte{'X'};
    std::copy_n(nonce.begin(), cipher_block_bytes - 4, block.begin() + 4);
    std::ranges::transform(block, subkey_.get(), block.begin(), std::bit_xor());
  }
  const Context context(::EVP_CIPHER_CTX_new());
  int done = 0;
  if (context == nullptr ||
      ::EVP_EncryptInit_ex2(context.get(), cipher_->blocks, in(key_.get()), nullptr, nullptr) !=
          1 ||
      ::EVP_EncryptUpdate(context.get(), out(blocks), &done, in(blocks),
                          static_cast<int>(blocks.size())) != 1 ||
      static_cast<std::size_t>(done) != key_size_bytes) {
    return failed("derive a key");
  }
  return SecretBytes(std::move(blocks));
}

Status SealingKey::seal(const Nonce& nonce, std::span<const std::byte> associated_data,
                        std::span<std::byte> bytes, Tag& tag) const {
  const Result<SecretBytes> key = derive(nonce);
  if (!key) {
    return key.error();
  }
  const auto own_nonce = std::span(nonce).last<derived_nonce_bytes>();
  const Context context(::EVP_CIPHER_CTX_new());
  std::array<std::byte, cipher_block_bytes> rest{};
  int rest_bytes = 0;
  const bool sealed =
      context != nullptr &&
      ::EVP_EncryptInit_ex2(context.get(), cipher_->gcm, in(key->get()), in(own_nonce), nullptr) ==
          1 &&
      update_associated_data(context.get(), associated_data) && update(context.get(), bytes) &&
      ::EVP_EncryptFinal_ex(context.get(), out(rest), &rest_bytes) == 1 &&
      ::EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, static_cast<int>(tag.size()),
                            tag.data()) == 1;
  assert(!sealed || rest_bytes == 0);
  return sealed ? Status() : failed("encrypt");
}

Status SealingKey::open(const Nonce& nonce, std::span<const std::byte> associated_data,
                        std::span<std::byte> bytes, const Tag& tag) const {
  const Result<SecretBytes> key = derive(nonce);
  if (!key) {
    return key.error();
  }
  const auto own_nonce = std::span(nonce).last<derived_nonce_bytes>();
  const Context context(::EVP_CIPHER_CTX_new());
  Tag expected = tag; // libcrypto does not promise to leave it alone.
  if (context == nullptr ||
      ::EVP_DecryptInit_ex2(context.get(), cipher_->gcm, in(key->get()), in(own_nonce), nullptr) !=
          1 ||
      ::EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_TAG, static_cast<int>(tag.size()),
                            expected.data()) != 1) {
    return failed("decrypt");
  }
  std::array<std::byte, cipher_block_bytes> rest{};
  int rest_bytes = 0;
  const bool opened = update_associated_data(context.get(), associated_data) &&
                      update(context.get(), bytes) &&
                      ::EVP_DecryptFinal_ex(context.get(), out(rest), &rest_bytes) == 1;
  assert(!opened || rest_bytes == 0);
  if (!opened) {
    wipe_memory(bytes); // Nobody may use what nothing vouches for.
    return Error(ErrorKind::corrupt, "sealed bytes are not what was sealed with this key");
  }
  return {};
}

} // namespace vnvram
