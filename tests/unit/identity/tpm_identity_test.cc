// With the real libtpms.
#include "identity/tpm_identity.h"

#include <algorithm>
#include <array>

#include <gtest/gtest.h>

#include "identity/identity_metadata.h"
#include "soft_tpm/soft_tpm.h"
#include "support/bytes.h"
#include "support/certificate_samples.h"
#include "support/expect_status.h"

namespace vnvram::test {
namespace {

constexpr std::string_view empty_password = "00000009 40000009 0000 00 0000";
constexpr std::string_view platform_handle = "4000000c";
constexpr std::string_view owner_handle = "40000001";
// Written and read by the platform, and read with its own password; see the TPM's library, part 2.
constexpr std::string_view usual_attributes = "42050001";

/// A TPM that is on and can be given NV areas, by the platform.
class TpmWithAreas {
public:
  TpmWithAreas()
      : tpm(TpmVersion::tpm2_0, tpm_blob_specs(TpmVersion::tpm2_0),
            std::vector<std::vector<std::byte>>(tpm_state_count), Manufacture::allowed) {
    EXPECT_TRUE(tpm.power_on(Startup::clear).ok());
  }

  void add(std::string_view index, std::vector<std::byte> content,
           std::string_view attributes = usual_attributes,
           std::string_view authority = platform_handle) {
    std::string about =
        std::string(index) + "000b" + std::string(attributes) + "0000" + number(content.size());
    run("8002", "0000012a", std::string(authority), "0000 000e" + about);
    for (std::size_t offset = 0; offset < content.size(); offset += 500) {
      const auto piece =
          std::span(content).subspan(offset, std::min<std::size_t>(500, content.size() - offset));
      run("8002", "00000137", std::string(authority) + std::string(index),
          number(piece.size()) + to_hex(piece) + number(offset));
    }
  }
  std::vector<std::byte> state() {
    std::vector<std::byte> state;
    EXPECT_EQ(tpm.get_state(TpmState::permanent, state), tpm_success);
    return state;
  }

  SoftTpm tpm;

private:
  static std::string number(std::size_t value) {
    std::array<std::byte, 2> bytes = {static_cast<std::byte>(value >> 8U),
                                      static_cast<std::byte>(value)};
    return to_hex(bytes);
  }
  void run(const std::string& tag, const std::string& code, const std::string& handles,
           const std::string& parameters) {
    const std::vector<std::byte> rest =
        from_hex(code + handles + std::string(empty_password) + parameters);
    std::vector<std::byte> command = from_hex(tag + "0000" + number(rest.size() + 6));
    command.insert(command.end(), rest.begin(), rest.end());
    const auto response = tpm.execute(command, 0, [] { return true; });
    ASSERT_TRUE(response);
    EXPECT_EQ(to_hex(response->subspan(6, 4)), "00000000") << code;
  }
};

bool is_left_out(const TpmIdentity& identity, std::string_view whose, std::string_view why) {
  return std::any_of(identity.left_out.begin(), identity.left_out.end(), [&](const auto& each) {
    return each.whose == whose && text_of(each.why).find(why) != std::string_view::npos;
  });
}

TEST(TpmIdentity, IsWhatIsInItsAreas) {
  std::vector<std::byte> state;
  {
    TpmWithAreas made;
    std::vector<std::byte> certificate = from_hex(certificate_der);
    made.add("01c0000a", certificate);
    certificate.resize(1200); // In more than one piece, and with something behind it.
    made.add("01c08000", certificate);
    made.add("01c00016", from_hex("3082ffff"));                  // None.
    made.add("01c00002", from_hex(certificate_der), "42080001"); // By a policy alone.
    state = made.state();
  }
  const auto identity = read_tpm_identity(state);
  ASSERT_OK(identity);
  ASSERT_TRUE(identity->platform);
  EXPECT_EQ(to_hex(identity->platform->der()), certificate_der);
  // Nobody can give a TPM the key of a certificate that was made elsewhere.
  EXPECT_TRUE(identity->endorsement_keys.empty());
  EXPECT_EQ(identity->left_out.size(), 3U);
  EXPECT_TRUE(is_left_out(*identity, "ECC NIST P-256", "has not got the key"));
  EXPECT_TRUE(is_left_out(*identity, "ECC NIST P-384", "is none"));
  EXPECT_TRUE(is_left_out(*identity, "RSA 2048", "cannot be read"));
}

TEST(TpmIdentity, OfTheOwnersAreasThereIsNone) {
  TpmWithAreas made;
  made.add("01c08000", from_hex(certificate_der), "02060006", owner_handle);
  made.tpm.stop();
  const auto identity = read_tpm_identity(made.state());
  ASSERT_OK(identity);
  EXPECT_FALSE(identity->platform);
  EXPECT_TRUE(is_left_out(*identity, "the platform", "owner"));
}

// Read with its own password, which the TPM has to count tries of: at first it says "once more".
TEST(TpmIdentity, IsInAnAreaWhoseTriesAreCounted) {
  TpmWithAreas made;
  made.add("01c08000", from_hex(certificate_der), "40040001");
  made.tpm.stop();
  const auto identity = read_tpm_identity(made.state());
  ASSERT_OK(identity);
  EXPECT_TRUE(identity->platform);
}

TEST(TpmIdentity, IsSaidInMetadata) {
  auto certificate = Certificate::parse(from_hex(certificate_der));
  ASSERT_OK(certificate);
  const auto digest = sha256(certificate->der());
  ASSERT_OK(digest);
  TpmIdentity identity;
  identity.endorsement_keys.push_back({.kind = endorsement_kinds()[1],
                                       .certificate = *certificate,
                                       .certificate_digest = *digest,
                                       .key_in_tpm = {}});
  const PublicMetadata metadata = identity_metadata(identity, "guest/");
  ASSERT_EQ(metadata.size(), 2U);
  EXPECT_EQ(metadata.at("guest/tpm.ek.p256.public-key"), certificate->public_key().pem());
  const auto said = said_identity(metadata, "guest/");
  ASSERT_EQ(said.size(), 1U);
  EXPECT_EQ(said.front().certificate_digest, to_hex(*digest));
  EXPECT_TRUE(said_identity(metadata, "").empty());
}

TEST(TpmIdentity, IsLookedForWhereThereMayBeOne) {
  TpmWithAreas made;
  const auto kinds = endorsement_kinds();
  for (const EndorsementKind& kind : kinds) {
    EXPECT_FALSE(may_have_certificate(made.state(), kind)) << kind.name;
  }
  made.add("01c00016", from_hex(certificate_der));
  for (const EndorsementKind& kind : kinds) {
    EXPECT_EQ(may_have_certificate(made.state(), kind), kind.name == "p384") << kind.name;
  }
}

TEST(TpmIdentity, LeavesATpmThatIsOffAsItIs) {
  TpmWithAreas made;
  made.add("01c0000a", from_hex(certificate_der));
  made.tpm.stop();
  const std::vector<std::byte> state = made.state();
  ASSERT_OK(read_tpm_identity(state));
  EXPECT_EQ(made.state(), state);
  ASSERT_OK(made.tpm.power_on(Startup::clear));
  made.add("01c08000", from_hex(certificate_der));
  made.tpm.stop();
  const auto identity = read_tpm_identity(made.state());
  ASSERT_OK(identity);
  EXPECT_TRUE(identity->platform);
}

TEST(TpmIdentity, OfWhatLibtpmsDoesNotTakeThereIsNone) {
  EXPECT_KIND(read_tpm_identity(from_hex("0102030405")), corrupt);
}

TEST(TpmIdentity, NamesHaveRoomForAPrefix) {
  EXPECT_OK(check_identity_prefix(std::string(29, 'x')));
  EXPECT_KIND(check_identity_prefix(std::string(40, 'x')), invalid_argument);
}

} // namespace
} // namespace vnvram::test
