#include "crypto/message_code.h"

#include <new>
#include <string>
#include <utility>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

namespace vnvram {
namespace {

struct CodeContextRelease {
  void operator()(EVP_MAC_CTX* context) const { ::EVP_MAC_CTX_free(context); }
};
using CodeContext = std::unique_ptr<EVP_MAC_CTX, CodeContextRelease>;

} // namespace

/// A context that knows the key: each message has a copy of it.
struct MessageCodeKey::Parts {
  std::unique_ptr<EVP_MAC_CTX, void (*)(EVP_MAC_CTX*)> keyed{nullptr, ::EVP_MAC_CTX_free};
};

void MessageCodeKey::PartsRelease::operator()(Parts* parts) const {
  const std::unique_ptr<Parts> owner(parts); // libcrypto overwrites what it frees of a key.
}

MessageCodeKey::MessageCodeKey(std::unique_ptr<Parts, PartsRelease> parts)
    : parts_(std::move(parts)) {}

Result<MessageCodeKey> MessageCodeKey::make(std::span<const std::byte> key) {
  if (key.empty()) {
    return Error(ErrorKind::invalid_argument, "a code needs a key");
  }
  EVP_MAC* hmac = ::EVP_MAC_fetch(nullptr, "HMAC", nullptr);
  std::unique_ptr<Parts, PartsRelease> parts(new Parts);
  parts->keyed.reset(hmac == nullptr ? nullptr : ::EVP_MAC_CTX_new(hmac));
  ::EVP_MAC_free(hmac);
  std::string digest = "SHA256";
  const std::array<OSSL_PARAM, 2> parameters{
      ::OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest.data(), 0), OSSL_PARAM_END};
  if (parts->keyed == nullptr ||
      ::EVP_MAC_init(parts->keyed.get(), reinterpret_cast<const unsigned char*>(key.data()),
                     key.size(), parameters.data()) != 1) {
    return Error(ErrorKind::unsupported, "libcrypto cannot make an HMAC-SHA-256",
                 "does this system's policy for it allow that?");
  }
  return MessageCodeKey(std::move(parts));
}

MessageCodeKey::Code MessageCodeKey::code(std::span<const std::byte> message) const {
  const CodeContext context(::EVP_MAC_CTX_dup(parts_->keyed.get()));
  Code code{};
  std::size_t done_bytes = 0;
  if (context == nullptr ||
      ::EVP_MAC_update(context.get(), reinterpret_cast<const unsigned char*>(message.data()),
                       message.size()) != 1 ||
      ::EVP_MAC_final(context.get(), reinterpret_cast<unsigned char*>(code.data()), &done_bytes,
                      code.size()) != 1 ||
      done_bytes != code.size()) {
    throw std::bad_alloc();
  }
  return code;
}

} // namespace vnvram
