#include "crypto/public_key.h"

#include <algorithm>
#include <memory>

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

namespace vnvram {
namespace {

template <auto release> struct ReleaseBy {
  template <typename Type> void operator()(Type* pointer) const { release(pointer); }
};
using NumberList = std::unique_ptr<OSSL_PARAM_BLD, ReleaseBy<::OSSL_PARAM_BLD_free>>;
using KeyParameters = std::unique_ptr<OSSL_PARAM, ReleaseBy<::OSSL_PARAM_free>>;
using KeyContext = std::unique_ptr<EVP_PKEY_CTX, ReleaseBy<::EVP_PKEY_CTX_free>>;
using KeyPointer = std::unique_ptr<EVP_PKEY, ReleaseBy<::EVP_PKEY_free>>;
using BigNumber = std::unique_ptr<BIGNUM, ReleaseBy<::BN_free>>;
using TextMemory = std::unique_ptr<BIO, ReleaseBy<::BIO_free_all>>;

constexpr std::byte uncompressed{4};

const unsigned char* raw(std::span<const std::byte> bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

Result<PublicKey> public_key_of(const char* kind, OSSL_PARAM_BLD* builder) {
  const KeyParameters parameters(::OSSL_PARAM_BLD_to_param(builder));
  const KeyContext context(::EVP_PKEY_CTX_new_from_name(nullptr, kind, nullptr));
  EVP_PKEY* made = nullptr;
  const bool is_key =
      parameters && context && ::EVP_PKEY_fromdata_init(context.get()) == 1 &&
      ::EVP_PKEY_fromdata(context.get(), &made, EVP_PKEY_PUBLIC_KEY, parameters.get()) == 1;
  const KeyPointer key(made);
  unsigned char* der = nullptr;
  const int size_bytes = is_key ? ::i2d_PUBKEY(key.get(), &der) : -1;
  if (size_bytes <= 0) {
    return Error(ErrorKind::invalid_argument, std::string("this is no public key of kind ") + kind);
  }
  const auto* const first = reinterpret_cast<const std::byte*>(der);
  std::vector<std::byte> bytes(first, first + size_bytes);
  ::OPENSSL_free(der);
  return PublicKey(std::move(bytes));
}

} // namespace

Result<PublicKey> PublicKey::rsa(std::span<const std::byte> modulus, std::uint32_t exponent) {
  const NumberList builder(::OSSL_PARAM_BLD_new());
  const BigNumber number(::BN_bin2bn(raw(modulus), static_cast<int>(modulus.size()), nullptr));
  const bool built =
      builder && number &&
      ::OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, number.get()) == 1 &&
      ::OSSL_PARAM_BLD_push_uint32(builder.get(), OSSL_PKEY_PARAM_RSA_E, exponent) == 1;
  return built && !modulus.empty()
             ? public_key_of("RSA", builder.get())
             : Error(ErrorKind::invalid_argument, "this is no public key of kind RSA");
}

Result<PublicKey> PublicKey::on_curve(Curve curve, std::span<const std::byte> x,
                                      std::span<const std::byte> y) {
  const bool is_small = curve == Curve::p256;
  const std::size_t size_bytes = is_small ? 32 : 48;
  if (x.size() > size_bytes || y.size() > size_bytes) {
    return Error(ErrorKind::invalid_argument, "this is no public key of kind EC");
  }
  std::vector<std::byte> point(1 + 2 * size_bytes);
  point.front() = uncompressed;
  std::copy(x.begin(), x.end(),
            point.begin() + 1 + static_cast<std::ptrdiff_t>(size_bytes - x.size()));
  std::copy(y.begin(), y.end(), point.end() - static_cast<std::ptrdiff_t>(y.size()));
  const NumberList builder(::OSSL_PARAM_BLD_new());
  const bool built =
      builder &&
      ::OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME,
                                        is_small ? "prime256v1" : "secp384r1", 0) == 1 &&
      ::OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(),
                                         point.size()) == 1;
  return built ? public_key_of("EC", builder.get())
               : Error(ErrorKind::invalid_argument, "this is no public key of kind EC");
}

std::string PublicKey::pem() const {
  return pem_text("PUBLIC KEY", der_);
}

std::string pem_text(const char* label, std::span<const std::byte> der) {
  const TextMemory memory(::BIO_new(::BIO_s_mem()));
  if (!memory ||
      ::PEM_write_bio(memory.get(), label, "", raw(der), static_cast<long>(der.size())) <= 0) {
    return {};
  }
  char* text = nullptr;
  const long length = BIO_get_mem_data(memory.get(), &text);
  return {text, static_cast<std::size_t>(length)};
}

} // namespace vnvram
