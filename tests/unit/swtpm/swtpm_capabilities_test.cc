#include "swtpm/swtpm_capabilities.h"

#include <string>

#include <gtest/gtest.h>

#include "support/expect_status.h"
#include "swtpm/usage.h"

namespace vnvram::test {
namespace {

bool has(const std::string& json, const std::string& feature) {
  return json.find('"' + feature + '"') != std::string::npos;
}

TEST(SwtpmCapabilities, WhatIsThere) {
  const auto json = swtpm_capabilities(TpmVersion::tpm2_0);
  ASSERT_OK(json);
  for (const char* feature :
       {"swtpm", "tpm-1.2", "tpm-2.0", "tpm-send-command-header", "flags-opt-startup",
        "flags-opt-disable-auto-shutdown", "ctrl-opt-terminate", "cmdarg-seccomp", "cmdarg-key-fd",
        "cmdarg-pwd-fd", "cmdarg-print-states", "cmdarg-chroot", "cmdarg-migration",
        "nvram-backend-dir", "nvram-backend-file", "tpmstate-opt-lock", "rsa-keysize-2048"}) {
    EXPECT_TRUE(has(*json, feature)) << feature << " in " << *json;
  }
}

TEST(SwtpmCapabilities, WhatIsNot) {
  const auto json = swtpm_capabilities(TpmVersion::tpm2_0);
  ASSERT_OK(json);
  for (const char* feature : {"cmdarg-profile", "cmdarg-print-profiles", "cmdarg-print-info",
                              "profile-opt-remove-disabled", "cmdarg-pcap", "profiles"}) {
    EXPECT_FALSE(has(*json, feature)) << feature << " in " << *json;
  }
}

TEST(SwtpmCapabilities, KeySizesOfAnotherTpmAreNotSaid) {
  const auto json = swtpm_capabilities(TpmVersion::tpm1_2);
  ASSERT_OK(json);
  EXPECT_EQ(json->find("rsa-keysize"), std::string::npos) << *json;
}

TEST(SwtpmCapabilities, LibtpmsSaysWhatItIs) {
  const auto features = libtpms_information(TpmVersion::tpm2_0, 4);
  ASSERT_OK(features);
  EXPECT_NE(features->find("\"TPMFeatures\""), std::string::npos) << *features;
  const auto both = libtpms_information(TpmVersion::tpm2_0, 1 | 2);
  ASSERT_OK(both);
  EXPECT_NE(both->find("\"TPMSpecification\""), std::string::npos) << *both;
  EXPECT_NE(both->find("\"TPMAttributes\""), std::string::npos) << *both;
}

TEST(SwtpmVersion, BeginsAsCallersExpectAndSaysWhoseItIs) {
  EXPECT_TRUE(version_text().starts_with("TPM emulator version 0.8.0, "));
  EXPECT_NE(version_text().find("vnvram-swtpm"), std::string::npos);
  EXPECT_EQ(version_text().find('\n'), version_text().size() - 1);
}

} // namespace
} // namespace vnvram::test
