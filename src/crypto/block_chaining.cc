#include "crypto/block_chaining.h"

#include <limits>
#include <memory>

#include <openssl/evp.h>

namespace vnvram {
namespace {

struct ChainContextRelease {
  void operator()(EVP_CIPHER_CTX* context) const { ::EVP_CIPHER_CTX_free(context); }
};

unsigned char* raw_bytes(std::span<std::byte> bytes) {
  return reinterpret_cast<unsigned char*>(bytes.data());
}

Status chain(std::span<const std::byte> key, const ChainingVector& vector,
             std::span<std::byte> bytes, int encrypts) {
  const EVP_CIPHER* const cipher = key.size() == 16   ? ::EVP_aes_128_cbc()
                                   : key.size() == 32 ? ::EVP_aes_256_cbc()
                                                      : nullptr;
  if (cipher == nullptr || bytes.size() % chaining_block_size_bytes != 0 ||
      bytes.size() > std::numeric_limits<int>::max() - chaining_block_size_bytes) {
    return Error(ErrorKind::invalid_argument,
                 "AES-CBC takes a key of 16 or 32 bytes, and whole blocks");
  }
  const std::unique_ptr<EVP_CIPHER_CTX, ChainContextRelease> context(::EVP_CIPHER_CTX_new());
  int done_bytes = 0;
  int last_bytes = 0;
  const bool done =
      context != nullptr &&
      ::EVP_CipherInit_ex(context.get(), cipher, nullptr,
                          reinterpret_cast<const unsigned char*>(key.data()),
                          reinterpret_cast<const unsigned char*>(vector.data()), encrypts) == 1 &&
      ::EVP_CIPHER_CTX_set_padding(context.get(), 0) == 1 &&
      ::EVP_CipherUpdate(context.get(), raw_bytes(bytes), &done_bytes, raw_bytes(bytes),
                         static_cast<int>(bytes.size())) == 1 &&
      ::EVP_CipherFinal_ex(context.get(), raw_bytes(bytes) + done_bytes, &last_bytes) == 1 &&
      static_cast<std::size_t>(done_bytes) + static_cast<std::size_t>(last_bytes) == bytes.size();
  return done ? Status()
              : Status(Error(ErrorKind::unsupported, "libcrypto cannot do AES in CBC mode",
                             "does this system's policy for it allow that?"));
}

} // namespace

Status encrypt_chained(std::span<const std::byte> key, const ChainingVector& vector,
                       std::span<std::byte> bytes) {
  return chain(key, vector, bytes, 1);
}

Status decrypt_chained(std::span<const std::byte> key, const ChainingVector& vector,
                       std::span<std::byte> bytes) {
  return chain(key, vector, bytes, 0);
}

} // namespace vnvram
