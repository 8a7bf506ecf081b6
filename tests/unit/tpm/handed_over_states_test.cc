// The number by which two hosts know one hand-over.
#include "tpm/handed_over_states.h"

#include <span>
#include <string_view>

#include <gtest/gtest.h>

namespace vnvram::test {
namespace {

using States = std::vector<std::vector<std::byte>>;

HandOverNumber number_of(const std::vector<SecretBytes>& states) {
  const Result<HandOverNumber> number = hand_over_number(states);
  EXPECT_TRUE(number.ok());
  return number.ok() ? *number : HandOverNumber();
}

HandOverNumber number_of(const States& states) {
  std::vector<SecretBytes> secret;
  for (const auto& state : states) {
    secret.emplace_back(std::span(state));
  }
  return number_of(secret);
}

std::vector<std::byte> bytes_of(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

TEST(HandedOverStatesTest, TheNumberIsOfAllStates) {
  const States states = {bytes_of("permanent"), bytes_of("volatile"), {}};
  const HandOverNumber number = number_of(states);
  EXPECT_FALSE(number.is_none());
  EXPECT_EQ(number, number_of(states));
  EXPECT_FALSE(number_of(States{{}, {}, {}}).is_none());
  for (const States& other :
       {States{bytes_of("permanent"), {}, bytes_of("volatile")},
        States{bytes_of("permanentv"), bytes_of("olatile"), {}},
        States{bytes_of("permanent"), bytes_of("volatilf"), {}}, States{{}, {}, {}}}) {
    EXPECT_NE(number, number_of(other));
  }
}

// What is set at the other host is what was taken here.
TEST(HandedOverStatesTest, OneThatRunsHasANewOneEachTime) {
  SoftTpm tpm(TpmVersion::tpm2_0, tpm_blob_specs(TpmVersion::tpm2_0), States(tpm_state_count),
              Manufacture::allowed);
  ASSERT_TRUE(tpm.power_on(Startup::clear).ok());
  HandedOverStates first;
  ASSERT_EQ(first.take(tpm), tpm_success);
  EXPECT_FALSE(first.of(TpmState::permanent).empty());
  EXPECT_FALSE(first.of(TpmState::volatile_state).empty());
  const auto number = first.number();
  ASSERT_TRUE(number.ok());
  bool is_new = false;
  for (int again = 0; again < 1000 && !is_new; ++again) { // It says the millisecond.
    HandedOverStates later;
    ASSERT_EQ(later.take(tpm), tpm_success);
    is_new = number_of(States{later.of(TpmState::permanent), later.of(TpmState::volatile_state),
                              later.of(TpmState::save_state)}) != *number;
  }
  EXPECT_TRUE(is_new);
  tpm.stop();
  for (std::size_t state = 0; state < tpm_state_count; ++state) {
    ASSERT_EQ(tpm.set_state(static_cast<TpmState>(state), first.of(static_cast<TpmState>(state))),
              tpm_success);
  }
  EXPECT_EQ(number_of(tpm.states_that_were_set()), *number);
}

} // namespace
} // namespace vnvram::test
