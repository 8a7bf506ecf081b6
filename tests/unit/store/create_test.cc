// Making images: sizes that are promised, what is refused, what is never half-made.
#include <filesystem>
#include <fstream>

#include <sys/stat.h>

#include "format/layout.h"
#include "provision/image_size.h"
#include "support/temporary_directory.h"
#include "unit/store/hooked_device.h"
#include "unit/store/store_fixture.h"

namespace vnvram {
namespace {

class Create : public StoreFixture {};

TEST_F(Create, ContentsThatAreAskedForOneByOne) {
  using Content = std::optional<Bytes>;
  CreateOptions options;
  options.blobs = {
      {spec("a", 10), bytes("given")}, {spec("b", 10)}, {spec("c", 10)}, {spec("d", 10)}};
  std::vector<std::string> asked;
  options.content_of = [&](const BlobSpec& blob) -> Result<Content> {
    asked.push_back(blob.name);
    return blob.name == "b"   ? Content(bytes("asked for"))
           : blob.name == "c" ? Content(Bytes())
                              : Content();
  };
  disk_ = std::make_shared<MemoryDisk>(std::uint64_t{4} << 20U);
  MemoryDevice blank(disk_);
  ASSERT_OK(create_image(blank, options));
  EXPECT_EQ(asked, (std::vector<std::string>{"b", "c", "d"}));
  const auto store = open();
  EXPECT_EQ(*store->read("a"), bytes("given"));
  EXPECT_EQ(*store->read("b"), bytes("asked for"));
  EXPECT_EQ(store->blob("c")->size_bytes, 0U);
  EXPECT_NE(store->blob("c")->generation, 0U); // It was written, if to nothing.
  EXPECT_EQ(store->blob("d")->generation, 0U);
}

TEST_F(Create, AContentThatCannotBeHadMakesNoImage) {
  CreateOptions options;
  options.blobs = {{spec("a", 10)}};
  options.content_of = [](const BlobSpec&) -> Result<std::optional<Bytes>> {
    return Error(ErrorKind::stale, "it is gone");
  };
  const test::TemporaryDirectory folder;
  EXPECT_KIND(create_image_file(folder.path("image"), 0, options), stale);
  EXPECT_FALSE(std::filesystem::exists(folder.path("image")));
  disk_ = std::make_shared<MemoryDisk>(std::uint64_t{4} << 20U);
  MemoryDevice blank(disk_);
  EXPECT_KIND(create_image(blank, options), stale);
  EXPECT_KIND(try_open(), foreign); // Without a superblock nobody takes it for an image.
}

TEST_F(Create, TheRequiredSizeIsEnoughAndABlockLessIsNot) {
  const std::vector<std::vector<BlobSpec>> sets = {
      {},
      {spec("a", 1)},
      {spec("a", 262144), spec("b", 131072), spec("c", 65536)},
      {spec("a", blob_size_max_bytes), spec("b", blob_size_max_bytes)},
  };
  for (const auto& set : sets) {
    const std::uint64_t size = *required_size_bytes(set);
    create(set, size);
    auto store = open();
    for (const BlobSpec& blob : set) {
      ASSERT_OK(store->write(blob.name, pattern(blob.size_max_bytes, 1)));
    }
    ASSERT_OK(store->close());
    disk_ = std::make_shared<MemoryDisk>(size - (2 * block_size_bytes));
    CreateOptions options;
    for (const BlobSpec& blob : set) {
      options.blobs.push_back({blob, std::nullopt});
    }
    MemoryDevice small(disk_);
    EXPECT_KIND(create_image(small, options), no_space);
    EXPECT_TRUE(std::all_of(disk_->bytes().begin(), disk_->bytes().end(),
                            [](std::byte b) { return b == std::byte{0}; }));
  }
}

TEST_F(Create, FourThousandBlobsAreRegisteredInOneTransaction) {
  std::vector<BlobSpec> specs;
  specs.reserve(4096);
  for (int i = 0; i < 4096; ++i) {
    specs.push_back(spec("a-rather-long-name-for-a-blob-number-" + std::to_string(i), 16));
  }
  create(specs, *required_size_bytes(specs));
  auto store = open();
  EXPECT_EQ(store->info().blob_count, 4096U);
  ASSERT_OK(store->write("a-rather-long-name-for-a-blob-number-4095", bytes("last")));
  ASSERT_OK(store->close());
  auto next = open();
  EXPECT_EQ(*next->read("a-rather-long-name-for-a-blob-number-4095"), bytes("last"));
  EXPECT_EQ(next->blobs().size(), 4096U);
}

TEST_F(Create, ContentsAreThereFromTheBeginning) {
  disk_ = std::make_shared<MemoryDisk>(std::uint64_t{4} << 20U);
  CreateOptions options;
  options.blobs.push_back({spec("a", 100), bytes("from a file")});
  auto fresh = device();
  ASSERT_OK(create_image(fresh, options));
  EXPECT_EQ(*open()->read("a"), bytes("from a file"));
}

TEST_F(Create, RefusesWhatIsNotBlankUnlessForced) {
  create({spec("a", 100)});
  ASSERT_OK(open()->write("a", bytes("precious")));
  auto there = device();
  EXPECT_KIND(create_image(there, {}), exists);
  EXPECT_EQ(*open()->read("a"), bytes("precious"));
  CreateOptions force;
  force.force = true;
  ASSERT_OK(create_image(there, force));
  EXPECT_EQ(open()->info().blob_count, 0U);

  disk_ = std::make_shared<MemoryDisk>(std::uint64_t{4} << 20U);
  disk_->bytes()[1080] = std::byte{0x53}; // where ext4 has its magic
  const Bytes before = disk_->bytes();
  auto foreign = device();
  EXPECT_KIND(create_image(foreign, {}), exists);
  EXPECT_EQ(disk_->bytes(), before);
}

TEST_F(Create, AnImageInUseIsNotFormattedEvenByForce) {
  create({spec("a", 100)});
  auto store = open();
  CreateOptions force;
  force.force = true;
  auto second = device();
  EXPECT_KIND(create_image(second, force), in_use);
}

class CreateFile : public ::testing::Test {
protected:
  [[nodiscard]] std::string path(const std::string& name) const { return directory_.path(name); }
  [[nodiscard]] std::size_t file_count() const {
    return static_cast<std::size_t>(
        std::distance(std::filesystem::directory_iterator(path("")), {}));
  }
  test::TemporaryDirectory directory_;
};

TEST_F(CreateFile, MakesAPrivateFileOfTheRecommendedSizeFullyAllocated) {
  ASSERT_OK(create_image_file(path("i"), 0, {}));
  struct stat status {};
  ASSERT_EQ(::stat(path("i").c_str(), &status), 0);
  EXPECT_EQ(status.st_size, 4 << 20);
  EXPECT_GE(status.st_blocks * 512, status.st_size);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  EXPECT_EQ(file_count(), 1U);
}

TEST_F(CreateFile, AFailureLeavesWhatWasThereAndNothingElse) {
  std::ofstream(path("i")) << "somebody's notes";
  EXPECT_KIND(create_image_file(path("i"), 0, {}), exists);
  CreateOptions too_much;
  too_much.force = true;
  too_much.blobs.push_back({spec("a", blob_size_max_bytes), std::nullopt});
  EXPECT_KIND(create_image_file(path("i"), 4 << 20, too_much), no_space);
  std::ifstream file(path("i"));
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}), "somebody's notes");
  EXPECT_EQ(file_count(), 1U);
  EXPECT_KIND(create_image_file(path("none/i"), 0, {}), io);
}

TEST_F(CreateFile, ReplacingKeepsTheModeAndFollowsALink) {
  ASSERT_OK(create_image_file(path("i"), 0, {}));
  ASSERT_EQ(::chmod(path("i").c_str(), 0640), 0);
  std::filesystem::create_symlink("i", path("link"));
  CreateOptions force;
  force.force = true;
  ASSERT_OK(create_image_file(path("link"), 0, force));
  EXPECT_TRUE(std::filesystem::is_symlink(path("link")));
  struct stat status {};
  ASSERT_EQ(::stat(path("i").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0640U);
}

TEST_F(Create, ResizeGivesRoomAndKeepsEverything) {
  create({spec("a", 100)});
  {
    auto store = open();
    ASSERT_OK(store->write("a", bytes("kept")));
    const BlobSpec large[] = {spec("b", 1000000), spec("bb", 1000000)};
    EXPECT_KIND(store->register_blobs(large), no_space);
    ASSERT_OK(store->close());
  }
  auto grown = device();
  EXPECT_KIND(resize_image(grown, 1 << 20), invalid_argument);
  ASSERT_OK(resize_image(grown, 16 << 20));
  auto store = open();
  EXPECT_EQ(store->info().image_size_bytes, 16U << 20U);
  EXPECT_EQ(*store->read("a"), bytes("kept"));
  for (char name = 'c'; name < 'j'; ++name) {
    const BlobSpec more[] = {spec(std::string(1, name), 1000000)};
    ASSERT_OK(store->register_blobs(more));
    ASSERT_OK(store->write(more[0].name, pattern(1000000, 5)));
  }
}

// The size is asked for first, the image made, and the devices register when they start.
TEST_F(Create, TheRequiredSizeIsEnoughForBlobsThatAreRegisteredLater) {
  for (const std::size_t count : {1U, 30U, 300U}) {
    std::vector<BlobSpec> specs;
    for (std::size_t i = 0; i < count; ++i) {
      specs.push_back(spec("blob" + std::to_string(i), 540672));
    }
    create({}, *required_size_bytes(specs));
    ASSERT_OK(open()->register_blobs(specs));
  }
}

// More than the ring and the cache hold, so that homes are written on the way.
TEST_F(Create, ThereIsNoImageBeforeItIsComplete) {
  disk_ = std::make_shared<MemoryDisk>(std::uint64_t{64} << 20U);
  const std::uint64_t third_copy_offset_bytes =
      disk_->bytes().size() - (format::third_copy_blocks_from_end * block_size_bytes);
  bool superblock_written = false;
  int homes_written = 0;
  const auto hook = std::make_shared<HookedDevice::Hook>(
      [&](HookedDevice::Call call, std::uint64_t offset_bytes, std::span<const std::byte> data) {
        if (offset_bytes == third_copy_offset_bytes) {
          EXPECT_TRUE(superblock_written || homes_written == 0); // Cleared first, written last.
        } else if (!data.empty() && offset_bytes < 2 * block_size_bytes) {
          superblock_written =
              std::any_of(data.begin(), data.end(), [](std::byte b) { return b != std::byte{0}; });
        } else if (call == HookedDevice::Call::write) {
          EXPECT_FALSE(superblock_written);
          ++homes_written;
        }
        return Status{};
      });
  HookedDevice fresh(disk_, hook);
  CreateOptions options;
  for (unsigned i = 0; i < 5; ++i) {
    options.blobs.push_back(
        {spec("blob" + std::to_string(i), 4000000), pattern(std::size_t{4000000}, i)});
  }
  ASSERT_OK(create_image(fresh, options));
  EXPECT_TRUE(superblock_written);
  EXPECT_GT(homes_written, 4000);
  auto store = open();
  for (unsigned i = 0; i < 5; ++i) {
    EXPECT_TRUE(*store->read("blob" + std::to_string(i)) == pattern(4000000, i));
  }
}

} // namespace
} // namespace vnvram
