#include "crypto/key_derivation.h"

#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

namespace vnvram {
namespace {

constexpr std::size_t size_max_bytes = std::size_t{255} * 32; // RFC 5869, 2.3.

struct KdfRelease {
  void operator()(EVP_KDF* kdf) const { ::EVP_KDF_free(kdf); }
};
struct KdfContextRelease {
  void operator()(EVP_KDF_CTX* context) const { ::EVP_KDF_CTX_free(context); }
};

// A parameter is read only, whatever its type says.
OSSL_PARAM octets(const char* name, std::span<const std::byte> bytes) {
  return ::OSSL_PARAM_construct_octet_string(name, const_cast<std::byte*>(bytes.data()),
                                             bytes.size());
}

} // namespace

Result<SecretBytes> derive_key(std::span<const std::byte> secret, std::span<const std::byte> salt,
                               std::string_view purpose, std::size_t size_bytes) {
  if (secret.empty() || size_bytes == 0 || size_bytes > size_max_bytes) {
    return Error(ErrorKind::invalid_argument, "a key cannot be derived from nothing, nor one of " +
                                                  std::to_string(size_bytes) + " bytes");
  }
  const std::unique_ptr<EVP_KDF, KdfRelease> kdf(::EVP_KDF_fetch(nullptr, "HKDF", nullptr));
  const std::unique_ptr<EVP_KDF_CTX, KdfContextRelease> context(
      kdf == nullptr ? nullptr : ::EVP_KDF_CTX_new(kdf.get()));
  std::string digest = "SHA256";
  std::vector<OSSL_PARAM> parameters{
      ::OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest.data(), 0),
      octets(OSSL_KDF_PARAM_KEY, secret)};
  if (!salt.empty()) { // It takes no empty ones; without one it means the same.
    parameters.push_back(octets(OSSL_KDF_PARAM_SALT, salt));
  }
  if (!purpose.empty()) {
    parameters.push_back(octets(OSSL_KDF_PARAM_INFO, std::as_bytes(std::span(purpose))));
  }
  parameters.push_back(OSSL_PARAM_END);
  std::vector<std::byte> key(size_bytes);
  if (context == nullptr ||
      ::EVP_KDF_derive(context.get(), reinterpret_cast<unsigned char*>(key.data()), key.size(),
                       parameters.data()) != 1) {
    return Error(ErrorKind::unsupported, "libcrypto cannot derive a key by HKDF-SHA-256",
                 "does this system's policy for it allow that?");
  }
  return SecretBytes(std::move(key));
}

Result<SecretBytes> derive_key_in_rounds(std::span<const std::byte> passphrase,
                                         std::span<const std::byte> salt, std::uint32_t rounds,
                                         std::size_t size_bytes) {
  if (passphrase.empty() || passphrase.size() > std::numeric_limits<int>::max()) {
    return Error(ErrorKind::invalid_argument, "a key cannot be derived from an empty passphrase");
  }
  std::vector<std::byte> bytes(size_bytes);
  const int made = ::PKCS5_PBKDF2_HMAC(
      reinterpret_cast<const char*>(passphrase.data()), static_cast<int>(passphrase.size()),
      reinterpret_cast<const unsigned char*>(salt.data()), static_cast<int>(salt.size()),
      static_cast<int>(rounds), ::EVP_sha512(), static_cast<int>(bytes.size()),
      reinterpret_cast<unsigned char*>(bytes.data()));
  SecretBytes key(std::move(bytes));
  return made == 1 ? Result<SecretBytes>(std::move(key))
                   : Error(ErrorKind::unsupported, "libcrypto cannot derive a key by PBKDF2",
                           "does this system's policy for it allow that?");
}

} // namespace vnvram
