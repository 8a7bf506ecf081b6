#include "crypto/key_agreement.h"

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "base/random_bytes.h"

namespace vnvram {
namespace {

struct KeyRelease {
  void operator()(EVP_PKEY* key) const { ::EVP_PKEY_free(key); }
};
using Key = std::unique_ptr<EVP_PKEY, KeyRelease>;
struct KeyContextRelease {
  void operator()(EVP_PKEY_CTX* context) const { ::EVP_PKEY_CTX_free(context); }
};
struct BufferRelease {
  void operator()(BIO* buffer) const { ::BIO_free(buffer); }
};
using Buffer = std::unique_ptr<BIO, BufferRelease>;

constexpr std::string_view pem_begin = "-----BEGIN ";
constexpr const char* pem_remedy =
    "make one with: openssl genpkey -algorithm X25519 -out PRIVATE.pem; its public half with: "
    "openssl pkey -in PRIVATE.pem -pubout -out PUBLIC.pem";

const unsigned char* octets(std::span<const std::byte> bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

// It keeps a list of what has gone wrong in this thread, which nobody else is to find there.
Error x25519_failed() {
  ::ERR_clear_error();
  return {ErrorKind::unsupported, "libcrypto cannot do X25519",
          "does this system's policy for it allow that?"};
}

Error not_readable(const std::string& what) {
  ::ERR_clear_error();
  return {ErrorKind::invalid_argument, what, pem_remedy};
}

Result<Key> private_key_of(std::span<const std::byte> bytes) {
  if (bytes.size() != agreement_key_size_bytes) {
    return Error(ErrorKind::invalid_argument, "an X25519 key has 32 bytes");
  }
  Key key(::EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, nullptr, octets(bytes), bytes.size()));
  return key == nullptr ? Result<Key>(x25519_failed()) : Result<Key>(std::move(key));
}

// Without it, libcrypto asks at the terminal.
int no_passphrase(char* /*buffer*/, int /*size*/, int /*for_writing*/, void* /*unused*/) {
  return -1;
}

Buffer buffer_of(std::span<const std::byte> bytes) {
  constexpr std::size_t pem_max_bytes = 65536;
  return Buffer(bytes.size() > pem_max_bytes
                    ? nullptr
                    : ::BIO_new_mem_buf(bytes.data(), static_cast<int>(bytes.size())));
}

bool says(std::span<const std::byte> pem, std::string_view words) {
  const std::string_view text(reinterpret_cast<const char*>(pem.data()), pem.size());
  return text.find(words) != std::string_view::npos;
}

} // namespace

Result<SecretBytes> make_agreement_key() {
  std::vector<std::byte> bytes(agreement_key_size_bytes);
  const Status random = random_bytes(bytes);
  return random ? Result<SecretBytes>(SecretBytes(std::move(bytes))) : random.error();
}

Result<AgreementPublicKey> agreement_public_key(std::span<const std::byte> private_key) {
  const Result<Key> key = private_key_of(private_key);
  if (!key) {
    return key.error();
  }
  AgreementPublicKey public_key{};
  std::size_t size_bytes = public_key.size();
  if (::EVP_PKEY_get_raw_public_key(key->get(), reinterpret_cast<unsigned char*>(public_key.data()),
                                    &size_bytes) != 1 ||
      size_bytes != public_key.size()) {
    return x25519_failed();
  }
  return public_key;
}

Result<SecretBytes> agree(std::span<const std::byte> private_key,
                          const AgreementPublicKey& public_key) {
  const Result<Key> own = private_key_of(private_key);
  if (!own) {
    return own.error();
  }
  const Key other(::EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, nullptr, octets(public_key),
                                                public_key.size()));
  const std::unique_ptr<EVP_PKEY_CTX, KeyContextRelease> context(
      ::EVP_PKEY_CTX_new(own->get(), nullptr));
  if (other == nullptr || context == nullptr || ::EVP_PKEY_derive_init(context.get()) != 1 ||
      ::EVP_PKEY_derive_set_peer(context.get(), other.get()) != 1) {
    return x25519_failed();
  }
  std::vector<std::byte> shared(agreement_key_size_bytes);
  std::size_t size_bytes = shared.size();
  // libcrypto refuses zeros by itself, and that is the only thing that can be wrong with the keys.
  const bool done =
      ::EVP_PKEY_derive(context.get(), reinterpret_cast<unsigned char*>(shared.data()),
                        &size_bytes) == 1;
  SecretBytes secret(std::move(shared));
  if (!done || size_bytes != secret.get().size() ||
      std::ranges::all_of(secret.get(), [](std::byte each) { return each == std::byte{0}; })) {
    ::ERR_clear_error();
    return Error(ErrorKind::corrupt, "an X25519 public key by which no secret can be made");
  }
  return secret;
}

bool is_pem(std::span<const std::byte> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return text.starts_with(pem_begin) || text.find("\n-----BEGIN ") != std::string_view::npos;
}

Result<SecretBytes> agreement_key_from_pem(std::span<const std::byte> pem) {
  const Buffer buffer = buffer_of(pem);
  const Key key(buffer == nullptr
                    ? nullptr
                    : ::PEM_read_bio_PrivateKey(buffer.get(), nullptr, no_passphrase, nullptr));
  if (key == nullptr) {
    return not_readable(says(pem, "ENCRYPTED") ? "the private key in it is encrypted itself"
                                               : "no private key can be read from this PEM");
  }
  std::vector<std::byte> bytes(agreement_key_size_bytes);
  std::size_t size_bytes = bytes.size();
  if (::EVP_PKEY_id(key.get()) != EVP_PKEY_X25519 ||
      ::EVP_PKEY_get_raw_private_key(key.get(), reinterpret_cast<unsigned char*>(bytes.data()),
                                     &size_bytes) != 1 ||
      size_bytes != bytes.size()) {
    return not_readable("a private key that is not of X25519");
  }
  return SecretBytes(std::move(bytes));
}

Result<AgreementPublicKey> agreement_public_key_from_pem(std::span<const std::byte> pem) {
  const Buffer buffer = buffer_of(pem);
  const Key key(buffer == nullptr
                    ? nullptr
                    : ::PEM_read_bio_PUBKEY(buffer.get(), nullptr, no_passphrase, nullptr));
  if (key == nullptr) {
    return not_readable(says(pem, "PRIVATE KEY") ? "that is a private key, not its public half"
                                                 : "no public key can be read from it");
  }
  AgreementPublicKey bytes{};
  std::size_t size_bytes = bytes.size();
  if (::EVP_PKEY_id(key.get()) != EVP_PKEY_X25519 ||
      ::EVP_PKEY_get_raw_public_key(key.get(), reinterpret_cast<unsigned char*>(bytes.data()),
                                    &size_bytes) != 1 ||
      size_bytes != bytes.size()) {
    return not_readable("a public key that is not of X25519");
  }
  return bytes;
}

} // namespace vnvram
