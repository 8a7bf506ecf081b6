#include "soft_tpm/nv_shadow.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

namespace vnvram::test {
namespace {

using Bytes = std::vector<std::byte>;

std::vector<BlobSpec> small_specs() {
  std::vector<BlobSpec> specs(3);
  specs[0] = {.name = "p", .type = "t", .size_max_bytes = 10000};
  specs[1] = {.name = "v", .type = "t", .size_max_bytes = 3000};
  specs[2] = {.name = "s", .type = "t", .size_max_bytes = 100};
  return specs;
}

// What a store holds after these updates, by the contract of Transaction.
struct Image {
  std::map<std::string, Bytes> blobs;
  std::size_t bytes_written = 0;

  void apply(const Transaction& transaction) {
    for (const auto& update : transaction.updates()) {
      Bytes& blob = blobs[update.blob];
      if (update.action == Transaction::Action::set_size) {
        blob.resize(update.offset_bytes);
        continue;
      }
      ASSERT_EQ(update.action, Transaction::Action::write_range);
      blob.resize(std::max<std::size_t>(blob.size(), update.offset_bytes + update.bytes.size()));
      std::copy(update.bytes.begin(), update.bytes.end(),
                blob.begin() + static_cast<std::ptrdiff_t>(update.offset_bytes));
      bytes_written += update.bytes.size();
    }
  }
};

TEST(NvShadow, NothingChangedIsNoTransaction) {
  NvShadow shadow(small_specs());
  shadow.load(TpmState::permanent, Bytes(5000, std::byte{7}));
  EXPECT_FALSE(shadow.has_changes());
  ASSERT_TRUE(shadow.store(TpmState::permanent, Bytes(5000, std::byte{7})));
  shadow.erase(TpmState::save_state);
  EXPECT_FALSE(shadow.has_changes());
  EXPECT_TRUE(shadow.take_changes().empty());
}

TEST(NvShadow, OneByteMovesOnePiece) {
  NvShadow shadow(small_specs());
  Bytes content(10000, std::byte{7});
  shadow.load(TpmState::permanent, content);
  Image image;
  image.blobs["p"] = content;
  content[9999] = std::byte{8};
  content[4000] = std::byte{8};
  ASSERT_TRUE(shadow.store(TpmState::permanent, content));
  EXPECT_TRUE(shadow.has_changes());
  image.apply(shadow.take_changes());
  EXPECT_EQ(image.blobs["p"], content);
  EXPECT_LE(image.bytes_written, 1024U);
  EXPECT_FALSE(shadow.has_changes());
}

TEST(NvShadow, RefusesWhatIsTooLarge) {
  NvShadow shadow(small_specs());
  // More than was registered: the blob grows.
  ASSERT_TRUE(shadow.store(TpmState::save_state, Bytes(5000, std::byte{1})));
  EXPECT_FALSE(shadow.store(TpmState::save_state, Bytes(blob_size_max_bytes + 1, std::byte{2})));
  EXPECT_EQ(shadow.content(TpmState::save_state).size(), 5000U);
  EXPECT_EQ(shadow.content(TpmState::save_state)[0], std::byte{1});
}

TEST(NvShadow, CutAndGrownAgainBetweenCommits) {
  // The image still has the old bytes where the shadow has zeros.
  NvShadow shadow(small_specs());
  Image image;
  image.blobs["p"] = Bytes(2000, std::byte{9});
  shadow.load(TpmState::permanent, image.blobs["p"]);
  ASSERT_TRUE(shadow.store(TpmState::permanent, Bytes(100, std::byte{9})));
  Bytes grown(2000, std::byte{0});
  std::fill(grown.begin(), grown.begin() + 100, std::byte{9});
  ASSERT_TRUE(shadow.store(TpmState::permanent, grown));
  image.apply(shadow.take_changes());
  EXPECT_EQ(image.blobs["p"], grown);
}

TEST(NvShadow, ImageFollowsAnySequence) {
  std::mt19937 random(20130611);
  NvShadow shadow(small_specs());
  Image image;
  image.blobs = {{"p", {}}, {"v", {}}, {"s", {}}};
  const std::array<std::size_t, 3> sizes_max = {10000, 3000, 100};
  for (int round = 0; round < 3000; ++round) {
    const std::size_t which = random() % 3;
    const auto state = static_cast<TpmState>(which);
    const auto before = shadow.content(state);
    Bytes content(before.begin(), before.end());
    if (random() % 4 == 0) {
      content.resize(random() % (sizes_max.at(which) + 1));
    }
    for (auto change = random() % 3; change > 0 && !content.empty(); --change) {
      content[random() % content.size()] = static_cast<std::byte>(random());
    }
    ASSERT_TRUE(shadow.store(state, content));
    ASSERT_TRUE(std::ranges::equal(shadow.content(state), content));
    if (random() % 3 == 0) {
      image.apply(shadow.take_changes());
      ASSERT_TRUE(std::ranges::equal(image.blobs["p"], shadow.content(TpmState::permanent)));
      ASSERT_TRUE(std::ranges::equal(image.blobs["v"], shadow.content(TpmState::volatile_state)));
      ASSERT_TRUE(std::ranges::equal(image.blobs["s"], shadow.content(TpmState::save_state)));
    }
  }
}

} // namespace
} // namespace vnvram::test
