#include "swtpm/state_listing.h"

#include <array>

#include "convert/swtpm_linear_file.h"
#include "device/guard_block.h"
#include "support/expect_status.h"
#include "swtpm/file_place.h"
#include "swtpm/folder_place.h"
#include "unit/convert/swtpm_samples.h"
#include "unit/swtpm/place_fixture.h"

namespace vnvram::test {
namespace {

using Kind = TpmStateOption::Kind;

constexpr std::string_view nothing = "{ \"type\": \"swtpm\", \"states\": [ ] }";

class StateListingTest : public PlaceTest {
protected:
  static Result<std::string> list(Kind kind, const std::string& path) {
    TpmStateOption place;
    place.kind = kind;
    place.path = path;
    return list_states(place, TpmVersion::tpm2_0, KeyRing());
  }
  void expect_nothing(Kind kind, const std::string& path) {
    const auto listed = list(kind, path);
    ASSERT_OK(listed);
    EXPECT_EQ(*listed, nothing);
  }
};

TEST_F(StateListingTest, OfWhatIsEmptyThereIsNothing) {
  expect_nothing(Kind::folder, path(""));
  expect_nothing(Kind::file, path("missing"));
  expect_nothing(Kind::file, directory_.make_file("blank", 1U << 20U));
}

TEST_F(StateListingTest, OfSwtpmsFilesTheirSizes) {
  put(path("tpm2-00.permall"), swtpm_sample("file_plain.bin"));
  put(path("tpm2-00.savestate"), Bytes(77));
  EXPECT_EQ(list(Kind::folder, path("")).value(),
            "{ \"type\": \"swtpm\", \"states\": [ {\"name\": \"permall\", \"size\": 1315}, "
            "{\"name\": \"savestate\", \"size\": 77} ] }");
  put(path("linear"), swtpm_sample("linear.bin"));
  EXPECT_EQ(list(Kind::file, path("linear")).value(),
            "{ \"type\": \"swtpm\", \"states\": [ {\"name\": \"permall\", \"size\": 1315} ] }");
}

TEST_F(StateListingTest, OfAnImageWhatIsInIt) {
  put(path("tpm2-00.permall"), swtpm_sample("file_plain.bin"));
  put(path("linear"), swtpm_sample("linear.bin"));
  FolderPlace folder(path(""), std::nullopt, setup());
  FilePlace file(path("linear"), std::nullopt, setup());
  ASSERT_OK(folder.enter(ImagePlace::Visit::first));
  ASSERT_OK(file.enter(ImagePlace::Visit::first));
  for (const auto& listed : {list(Kind::folder, path("")), list(Kind::file, path("linear")),
                             list(Kind::location, path("linear"))}) {
    ASSERT_OK(listed);
    EXPECT_NE(listed->find("permall"), std::string::npos) << *listed;
    EXPECT_EQ(listed->find("volatilestate"), std::string::npos) << *listed;
  }
}

TEST_F(StateListingTest, WhatIsDamagedOrMissingIsSaid) {
  EXPECT_KIND(list(Kind::folder, path("missing")), absent);
  put(path("foreign"), Bytes(5000, std::byte{1}));
  EXPECT_KIND(list(Kind::file, path("foreign")), foreign);
  Bytes linear = swtpm_sample("linear.bin");
  linear[12] = std::byte{1}; // A section in the header.
  linear[13] = std::byte{0};
  put(path("damaged"), linear);
  EXPECT_KIND(list(Kind::file, path("damaged")), corrupt);
}

TEST_F(StateListingTest, NothingIsReadAsAVmImage) {
  Bytes bytes(5000);
  bytes.at(0) = std::byte{'Q'};
  bytes.at(1) = std::byte{'F'};
  bytes.at(2) = std::byte{'I'};
  bytes.at(3) = std::byte{0xfb};
  put(path("qcow2"), bytes);
  EXPECT_KIND(list(Kind::file, path("qcow2")), foreign);
}

TEST_F(StateListingTest, APlaceThatIsBeingTakenOverIsSaidToBe) {
  GuardBlock guard;
  guard.state = GuardBlock::State::taking_over;
  std::array<std::byte, guard_size_bytes> block{};
  write_guard(guard, block);
  put(path("cut"), block);
  EXPECT_KIND(list(Kind::file, path("cut")), corrupt);
}

} // namespace
} // namespace vnvram::test
