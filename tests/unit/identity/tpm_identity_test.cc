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
           std::string_view attributes = usual_attributes) {
    std::string about =
        std::string(index) + "000b" + std::string(attributes) + "0000" + number(content.size());
    run("8002", "0000012a", std::string(platform_handle), "0000 000e" + about);
    for (std::size_t offset = 0; offset < content.size(); offset += 500) {
      const auto piece =
          std::span(content).subspan(offset, std::min<std::size_t>(500, content.size() - offset));
      run("8002", "00000137", std::string(platform_handle) + std::string(index),
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

TEST(TpmIdentity, IsWhatIsInItsAreas) {
  std::vector<std::byte> state;
  {
    TpmWithAreas made;
    std::vector<std::byte> certificate = from_hex(certificate_der);
    made.add("01c0000a", certificate);
    certificate.resize(1200); // In more than one piece, and with something behind it.
    made.add("01c08000", certificate);
    made.add("01c00016", from_hex("3082ffff"));                  // None.
    made.add("01c00002", from_hex(certificate_der), "42020001"); // For its owner alone.
    state = made.state();
  }
  const auto identity = read_tpm_identity(state);
  ASSERT_OK(identity);
  ASSERT_EQ(identity->endorsement_keys.size(), 1U);
  const EndorsementKey& key = identity->endorsement_keys.front();
  EXPECT_EQ(key.kind.name, "p256");
  EXPECT_EQ(to_hex(key.certificate.der()), certificate_der);
  EXPECT_FALSE(key.key_in_tpm);
  ASSERT_TRUE(identity->platform);
  EXPECT_EQ(to_hex(identity->platform->der()), certificate_der);

  const PublicMetadata metadata = identity_metadata(*identity, "guest/");
  ASSERT_EQ(metadata.size(), 2U);
  EXPECT_EQ(metadata.at("guest/tpm.ek.p256.public-key"), key.certificate.public_key().pem());
  const auto said = said_identity(metadata, "guest/");
  ASSERT_EQ(said.size(), 1U);
  EXPECT_EQ(said.front().certificate_digest, to_hex(key.certificate_digest));
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
