// A key that one side makes with nothing but the other one's public key, and that it finds again.
#include "crypto/agreed_key.h"

#include <cstddef>
#include <vector>

#include <gtest/gtest.h>

#include "support/expect_status.h"

namespace vnvram::test {
namespace {

constexpr std::string_view this_purpose = "vnvram test";

struct Holder {
  SecretBytes private_key = make_agreement_key().value();
  AgreementPublicKey public_key = agreement_public_key(private_key.get()).value();
};

/// Whether what one seals the other one opens.
bool are_the_same(const SealingKey& one, const SealingKey& other) {
  std::vector<std::byte> bytes(32, std::byte{7});
  SealingKey::Tag tag{};
  EXPECT_OK(one.seal({}, {}, bytes, tag));
  return other.open({}, {}, bytes, tag).ok();
}

TEST(AgreedKeyTest, TheHolderFindsIt) {
  const Holder holder;
  const auto made = make_agreed_key(holder.public_key, this_purpose);
  ASSERT_OK(made);
  const auto found =
      find_agreed_key(holder.private_key.get(), made->ephemeral, holder.public_key, this_purpose);
  ASSERT_OK(found);
  EXPECT_TRUE(are_the_same(made->key, *found));
}

TEST(AgreedKeyTest, ItIsOfOneHolderOnePurposeAndOneTime) {
  const Holder holder;
  const Holder another;
  const auto made = make_agreed_key(holder.public_key, this_purpose);
  const auto again = make_agreed_key(holder.public_key, this_purpose);
  ASSERT_OK(made);
  ASSERT_OK(again);
  const auto found = [&](const Holder& who, const AgreementPublicKey& ephemeral,
                         const AgreementPublicKey& named, std::string_view purpose) {
    return find_agreed_key(who.private_key.get(), ephemeral, named, purpose).value();
  };
  EXPECT_FALSE(
      are_the_same(made->key, found(another, made->ephemeral, another.public_key, this_purpose)));
  EXPECT_FALSE(
      are_the_same(made->key, found(holder, made->ephemeral, another.public_key, this_purpose)));
  EXPECT_FALSE(
      are_the_same(made->key, found(holder, made->ephemeral, holder.public_key, "vnvram tests")));
  EXPECT_FALSE(
      are_the_same(made->key, found(holder, again->ephemeral, holder.public_key, this_purpose)));
}

TEST(AgreedKeyTest, APublicKeyThatIsNoneIsRefused) {
  const Holder holder;
  EXPECT_KIND(make_agreed_key(AgreementPublicKey{}, this_purpose), corrupt);
  EXPECT_KIND(find_agreed_key(holder.private_key.get(), AgreementPublicKey{}, holder.public_key,
                              this_purpose),
              corrupt);
}

} // namespace
} // namespace vnvram::test
