#include "crypto/digest.h"

#include <vector>

#include <openssl/evp.h>

namespace vnvram {
namespace {

constexpr std::size_t sha512_size_bytes = 64;

// The algorithm says how many bytes come; there is room for them.
Status digest_into(const EVP_MD* algorithm, std::span<const std::byte> bytes,
                   std::span<std::byte> digest) {
  unsigned int done_bytes = 0;
  const bool done =
      ::EVP_Digest(bytes.data(), bytes.size(), reinterpret_cast<unsigned char*>(digest.data()),
                   &done_bytes, algorithm, nullptr) == 1 &&
      done_bytes == digest.size();
  return done ? Status()
              : Status(Error(ErrorKind::unsupported, "libcrypto cannot make a digest",
                             "does this system's policy for it allow that?"));
}

} // namespace

Result<Sha256Digest> sha256(std::span<const std::byte> bytes) {
  Sha256Digest digest{};
  const Status done = digest_into(::EVP_sha256(), bytes, digest);
  return done ? Result<Sha256Digest>(digest) : done.error();
}

Result<SecretBytes> sha512(std::span<const std::byte> bytes) {
  std::vector<std::byte> digest(sha512_size_bytes);
  const Status done = digest_into(::EVP_sha512(), bytes, digest);
  SecretBytes secret(std::move(digest));
  return done ? Result<SecretBytes>(std::move(secret)) : done.error();
}

} // namespace vnvram
