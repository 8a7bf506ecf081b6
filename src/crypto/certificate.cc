#include "crypto/certificate.h"

#include <memory>

#include <openssl/x509.h>

namespace vnvram {
namespace {

struct FreeCertificate {
  void operator()(X509* certificate) const { ::X509_free(certificate); }
};

} // namespace

Result<Certificate> Certificate::parse(std::span<const std::byte> bytes) {
  const auto* const begin = reinterpret_cast<const unsigned char*>(bytes.data());
  const unsigned char* end = begin;
  const std::unique_ptr<X509, FreeCertificate> certificate(
      ::d2i_X509(nullptr, &end, static_cast<long>(bytes.size())));
  unsigned char* key = nullptr;
  const int key_size_bytes =
      certificate ? ::i2d_X509_PUBKEY(::X509_get_X509_PUBKEY(certificate.get()), &key) : -1;
  if (key_size_bytes <= 0) {
    return Error(ErrorKind::invalid_argument, "this is no X.509 certificate");
  }
  const auto* const first = reinterpret_cast<const std::byte*>(key);
  std::vector<std::byte> key_der(first, first + key_size_bytes);
  ::OPENSSL_free(key);
  const auto used = bytes.first(static_cast<std::size_t>(end - begin));
  return Certificate({used.begin(), used.end()}, PublicKey(std::move(key_der)));
}

} // namespace vnvram
