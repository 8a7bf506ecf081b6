// With the real libtpms.
#include "soft_tpm/soft_tpm.h"

#include <gtest/gtest.h>

#include "support/bytes.h"

namespace vnvram::test {
namespace {

constexpr std::string_view failure_tpm2 = "80010000000a00000101";
constexpr std::string_view failure_tpm12 = "00c40000000a00000009";
constexpr std::string_view read_clock = "8001 0000000a 00000181";
constexpr std::string_view startup_clear = "8001 0000000c 00000144 0000";

using Contents = std::vector<std::vector<std::byte>>;

class SoftTpmTest : public testing::TestWithParam<TpmVersion> {
protected:
  std::unique_ptr<SoftTpm> make(Contents contents, Manufacture manufacture) const {
    return std::make_unique<SoftTpm>(GetParam(), tpm_blob_specs(GetParam()), std::move(contents),
                                     manufacture);
  }
  [[nodiscard]] std::string failure() const {
    return std::string(GetParam() == TpmVersion::tpm2_0 ? failure_tpm2 : failure_tpm12);
  }
  static std::string run(SoftTpm& tpm, std::string_view hex) {
    auto command = from_hex(hex);
    return to_hex(*tpm.execute(command, 0, [] { return true; }));
  }
};

INSTANTIATE_TEST_SUITE_P(Versions, SoftTpmTest,
                         testing::Values(TpmVersion::tpm2_0, TpmVersion::tpm1_2),
                         [](const auto& test) {
                           return test.param == TpmVersion::tpm2_0 ? "Tpm20" : "Tpm12";
                         });

TEST_P(SoftTpmTest, NewTpmIsManufacturedOnce) {
  Contents contents(3);
  {
    const auto tpm = make(Contents(3), Manufacture::allowed);
    ASSERT_TRUE(tpm->verify().ok());
    EXPECT_TRUE(tpm->has_changes());
    ASSERT_EQ(tpm->get_state(TpmState::permanent, contents[0]), tpm_success);
    EXPECT_FALSE(contents[0].empty());
    (void)tpm->take_changes();
    ASSERT_TRUE(tpm->verify().ok());
    EXPECT_FALSE(tpm->has_changes()) << "a second start made something new";
  }
  const auto again = make(contents, Manufacture::forbidden);
  ASSERT_TRUE(again->verify().ok());
  EXPECT_FALSE(again->has_changes());
}

TEST_P(SoftTpmTest, NeverAFreshTpmInPlaceOfALostOne) {
  const auto lost = make(Contents(3), Manufacture::forbidden);
  const Status verified = lost->verify();
  ASSERT_FALSE(verified.ok());
  EXPECT_EQ(verified.error().kind(), ErrorKind::corrupt);
  EXPECT_FALSE(lost->has_changes());
}

TEST_P(SoftTpmTest, RefusesStateThatIsNone) {
  Contents contents(3);
  contents[0].assign(1500, std::byte{0x5a});
  const auto tpm = make(contents, Manufacture::forbidden);
  ASSERT_FALSE(tpm->verify().ok());
  EXPECT_FALSE(tpm->has_changes());
  // INIT by a VMM: the TPM is in failure mode, and its state stays where it is.
  ASSERT_FALSE(tpm->initialise(false).ok());
  EXPECT_EQ(run(*tpm, read_clock), failure());
  EXPECT_EQ(tpm->hash_start(), tpm_success);
  std::vector<std::byte> blob;
  EXPECT_NE(tpm->get_state(TpmState::permanent, blob), tpm_success);
  EXPECT_FALSE(tpm->has_changes());
}

TEST_P(SoftTpmTest, StoppedTpmAnswersWithTheTagOfItsVersion) {
  const auto tpm = make(Contents(3), Manufacture::allowed);
  EXPECT_EQ(run(*tpm, read_clock), failure());
  bool bit = false;
  EXPECT_EQ(tpm->established(bit), tpm_bad_ordinal);
  EXPECT_EQ(tpm->store_volatile(), tpm_bad_ordinal);
  EXPECT_EQ(tpm->cancel(), tpm_bad_ordinal);
}

TEST_P(SoftTpmTest, FailureModeIsForGood) {
  const auto tpm = make(Contents(3), Manufacture::allowed);
  ASSERT_TRUE(tpm->initialise(false).ok());
  tpm->fail();
  EXPECT_EQ(run(*tpm, startup_clear), failure());
  tpm->stop();
  EXPECT_FALSE(tpm->initialise(false).ok());
  EXPECT_EQ(run(*tpm, startup_clear), failure());
  bool bit = true;
  EXPECT_EQ(tpm->established(bit), tpm_success) << "a VMM must not stumble over it";
}

TEST_P(SoftTpmTest, StateTravels) {
  Contents contents(3);
  {
    const auto source = make(Contents(3), Manufacture::allowed);
    ASSERT_TRUE(source->power_on(Startup::clear).ok());
    ASSERT_EQ(source->get_state(TpmState::permanent, contents[0]), tpm_success);
    ASSERT_EQ(source->get_state(TpmState::volatile_state, contents[1]), tpm_success);
    ASSERT_FALSE(contents[1].empty());
  }
  const auto tpm = make(Contents(3), Manufacture::allowed);
  ASSERT_TRUE(tpm->verify().ok());
  (void)tpm->take_changes();
  ASSERT_EQ(tpm->set_state(TpmState::permanent, contents[0]), tpm_success);
  ASSERT_EQ(tpm->set_state(TpmState::volatile_state, contents[1]), tpm_success);
  EXPECT_FALSE(tpm->has_changes()) << "nothing is committed before INIT has accepted it";
  ASSERT_TRUE(tpm->initialise(true).ok());
  std::vector<std::byte> permanent;
  ASSERT_EQ(tpm->get_state(TpmState::permanent, permanent), tpm_success);
  EXPECT_EQ(permanent, contents[0]);
  const auto changes = tpm->take_changes();
  EXPECT_TRUE(changes.restored);
  for (const auto& update : changes.transaction.updates()) {
    EXPECT_EQ(update.blob, tpm_blob_name(GetParam(), TpmState::permanent))
        << "the volatile state was to be deleted after its use";
  }
  // It is started up already: a second startup is refused, any other command is served.
  if (GetParam() == TpmVersion::tpm2_0) {
    EXPECT_EQ(run(*tpm, startup_clear), "80010000000a00000100");
    EXPECT_TRUE(run(*tpm, read_clock).starts_with("80010000002300000000"));
  }
  EXPECT_EQ(tpm->set_state(TpmState::permanent, contents[0]), tpm_bad_ordinal) << "it runs";
}

TEST_P(SoftTpmTest, RefusedStateBlobChangesNothing) {
  const auto tpm = make(Contents(3), Manufacture::allowed);
  ASSERT_TRUE(tpm->verify().ok());
  std::vector<std::byte> before;
  ASSERT_EQ(tpm->get_state(TpmState::permanent, before), tpm_success);
  EXPECT_NE(tpm->set_state(TpmState::permanent, std::vector<std::byte>(999, std::byte{1})),
            tpm_success);
  EXPECT_NE(tpm->set_state(TpmState::permanent, {}), tpm_success);
  EXPECT_NE(tpm->set_state(TpmState::volatile_state, std::vector<std::byte>(999, std::byte{1})),
            tpm_success);
  EXPECT_EQ(tpm->check_set_state(1U << 30U), tpm_bad_parameter_size);
  std::vector<std::byte> after;
  ASSERT_EQ(tpm->get_state(TpmState::permanent, after), tpm_success);
  EXPECT_EQ(after, before);
  EXPECT_TRUE(tpm->initialise(false).ok());
}

TEST_P(SoftTpmTest, BufferSizeOnlyWhileStopped) {
  const auto tpm = make(Contents(3), Manufacture::allowed);
  BufferSize size;
  ASSERT_EQ(tpm->set_buffer_size(4000, size), tpm_success);
  EXPECT_EQ(size.size_bytes, 4000U);
  ASSERT_TRUE(tpm->initialise(false).ok());
  EXPECT_EQ(tpm->set_buffer_size(4096, size), tpm_bad_ordinal);
  ASSERT_EQ(tpm->set_buffer_size(0, size), tpm_success);
  EXPECT_EQ(size.size_bytes, 4000U);
  tpm->stop();
  ASSERT_EQ(tpm->set_buffer_size(4096, size), tpm_success);
}

TEST_P(SoftTpmTest, AnotherOneGoesOnWhereThisOneRuns) {
  Contents contents(3);
  const auto specs = tpm_blob_specs(GetParam());
  const bool is_tpm2 = GetParam() == TpmVersion::tpm2_0;
  // Each makes that of another TPM register, of those that a start clears, another one.
  const std::string startup = is_tpm2 ? std::string(startup_clear) : "00c1 0000000c 00000099 0001";
  const std::string extend =
      is_tpm2 ? "8002 00000041 00000182 00000010 00000009 40000009 0000 00 0000 00000001 000b" +
                    std::string(64, '5')
              : "00c1 00000022 00000014 00000010" + std::string(40, '5');
  const std::string read = is_tpm2 ? "8001 00000014 0000017e 00000001 000b 03 000001"
                                   : "00c1 0000000e 00000015 00000010";
  std::string seen;
  std::optional<RunningState> state;
  {
    const auto tpm = make(Contents(3), Manufacture::allowed);
    ASSERT_TRUE(tpm->initialise(false).ok());
    ASSERT_EQ(run(*tpm, startup).substr(12), "00000000");
    ASSERT_EQ(run(*tpm, extend).substr(12, 8), "00000000");
    seen = run(*tpm, read);
    (void)tpm->take_changes();
    ASSERT_EQ(tpm->get_state(TpmState::permanent, contents[0]), tpm_success);
    Result<RunningState> running = tpm->running_state();
    ASSERT_TRUE(running.ok());
    state.emplace(*std::move(running));
  }
  const auto next = make(Contents(3), Manufacture::forbidden);
  ASSERT_TRUE(next->go_on(specs, contents, std::move(*state)).ok());
  EXPECT_FALSE(next->is_untouched());
  EXPECT_TRUE(next->matches(contents));
  EXPECT_EQ(run(*next, read), seen);
  EXPECT_NE(run(*next, extend), failure());
  EXPECT_NE(run(*next, read), seen);
}

TEST_P(SoftTpmTest, NobodyGoesOnWithAStateThatIsNone) {
  Contents contents(3);
  {
    const auto tpm = make(Contents(3), Manufacture::allowed);
    ASSERT_TRUE(tpm->verify().ok());
    ASSERT_EQ(tpm->get_state(TpmState::permanent, contents[0]), tpm_success);
  }
  const auto next = make(Contents(3), Manufacture::forbidden);
  RunningState state;
  state.power = RunningState::Power::on;
  state.volatile_state = SecretBytes(std::vector<std::byte>(100, std::byte{0xee}));
  const Status gone_on = next->go_on(tpm_blob_specs(GetParam()), contents, std::move(state));
  ASSERT_FALSE(gone_on.ok());
  EXPECT_EQ(gone_on.error().kind(), ErrorKind::unsupported);
  EXPECT_TRUE(next->is_off());
}

TEST_P(SoftTpmTest, OneInFailureModeIsGivenToNobody) {
  const auto tpm = make(Contents(3), Manufacture::allowed);
  ASSERT_TRUE(tpm->initialise(false).ok());
  tpm->fail();
  EXPECT_EQ(tpm->running_state().error().kind(), ErrorKind::poisoned);
}

} // namespace
} // namespace vnvram::test
