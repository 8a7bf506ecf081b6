// Argon2id: what another implementation comes to, and what is refused.
#include "crypto/passphrase_hash.h"

#include <string_view>

#include <gtest/gtest.h>

#include "base/hex.h"
#include "support/expect_status.h"

namespace vnvram::test {
namespace {

std::span<const std::byte> passphrase_bytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}

constexpr std::string_view salt_text = "0123456789abcdef";

Result<SecretBytes> hash_of(std::string_view passphrase, HashCost cost) {
  return hash_passphrase(passphrase_bytes(passphrase),
                         passphrase_bytes(salt_text).first<passphrase_salt_size_bytes>(), cost);
}

// RFC 9106 has no vector of one lane. These are by the program of its authors:
//   printf '...' | argon2 0123456789abcdef -id -t 3 -k 1024 -p 1 -l 32 -r
TEST(PassphraseHashTest, IsThatOfAnotherImplementation) {
  const auto hash = hash_of("correct horse battery staple", {.passes = 3, .memory_kib = 1024});
  ASSERT_OK(hash);
  EXPECT_EQ(hex(hash->get()), "4ad3b6ea7894ed104f150a1a483bac1d8dbbfd4fd54fbce23c1b696ed2dff09e");
  const auto cheapest = hash_of("x", {.passes = 1, .memory_kib = 8});
  ASSERT_OK(cheapest);
  EXPECT_EQ(hex(cheapest->get()),
            "2792fda9fdc683447f4831826b7013dd8b42a92b3cda9bc2dda4d9477e8153c3");
}

TEST(PassphraseHashTest, RefusesWhatNoSlotMayAskFor) {
  EXPECT_KIND(hash_of("", {.passes = 1, .memory_kib = 8}), invalid_argument);
  EXPECT_KIND(hash_of("x", {.passes = 0, .memory_kib = 8}), invalid_argument);
  EXPECT_KIND(hash_of("x", {.passes = 65, .memory_kib = 8}), invalid_argument);
  EXPECT_KIND(hash_of("x", {.passes = 1, .memory_kib = 7}), invalid_argument);
  EXPECT_KIND(hash_of("x", {.passes = 1, .memory_kib = 4194305}), invalid_argument);
}

TEST(PassphraseHashTest, TheUsualCostIsOneThatIsAllowed) {
  EXPECT_TRUE(is_hash_cost(usual_hash_cost()));
  EXPECT_GE(usual_hash_cost().memory_kib, 65536U);
  EXPECT_EQ(usual_hash_cost().passes, 3U);
}

} // namespace
} // namespace vnvram::test
