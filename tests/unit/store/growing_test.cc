// Images that grow by themselves when blobs find no room.
#include <atomic>
#include <thread>

#include "device/forwarding_device.h"
#include "store/third_copy.h"
#include "unit/store/store_fixture.h"

namespace vnvram {
namespace {

constexpr std::uint64_t mib = std::uint64_t{1} << 20U;
constexpr std::uint64_t third_room_bytes = format::third_copy_blocks_from_end * block_size_bytes;

/// What a device can, and how far it can be lengthened; outside of the device, which a store takes
/// over.
struct Ends {
  bool resize = true;
  std::uint64_t size_max_bytes = 64 * mib;
};

class EndingDevice final : public ForwardingDevice {
public:
  EndingDevice(std::unique_ptr<BlockDevice> target, const Ends& ends)
      : ForwardingDevice(*target), target_(std::move(target)), ends_(ends) {}

  [[nodiscard]] DeviceCapabilities capabilities() const override {
    DeviceCapabilities can = target_->capabilities();
    can.resize = ends_.resize;
    return can;
  }
  Status resize(std::uint64_t size_bytes) override {
    if (!ends_.resize) {
      return Error(ErrorKind::unsupported, "memory: it has its size", "lengthen it");
    }
    return size_bytes <= ends_.size_max_bytes
               ? target_->resize(size_bytes)
               : Status(Error(ErrorKind::no_space, "memory: no space left", "make room"));
  }

private:
  std::unique_ptr<BlockDevice> target_;
  const Ends& ends_;
};

class Growing : public StoreFixture {
protected:
  [[nodiscard]] OpenOptions growing(std::uint64_t grow_max_bytes) {
    OpenOptions options = inline_options();
    options.grow_max_bytes = grow_max_bytes;
    options.grown = [this](std::uint64_t from_bytes, std::uint64_t to_bytes) {
      EXPECT_LT(from_bytes, to_bytes);
      ++growth_count_;
      grown_to_bytes_ = to_bytes;
    };
    return options;
  }
  [[nodiscard]] std::unique_ptr<Store> open_ending(std::uint64_t grow_max_bytes) {
    auto store =
        Store::open(std::make_unique<EndingDevice>(std::make_unique<MemoryDevice>(disk_), ends_),
                    growing(grow_max_bytes));
    EXPECT_OK(store);
    return *std::move(store);
  }
  static Status add(Store& store, const std::string& name, std::uint64_t size_bytes) {
    return store.register_blobs(std::vector<BlobSpec>{spec(name, size_bytes)});
  }
  void expect_clean() {
    MemoryDevice there(disk_, Access::read_only);
    const auto report = check_image(there);
    ASSERT_OK(report);
    EXPECT_TRUE(report->clean());
    EXPECT_TRUE(report->notes.empty()); // The third superblock is there, too.
  }

  Ends ends_;
  int growth_count_ = 0;
  std::uint64_t grown_to_bytes_ = 0;
};

TEST_F(Growing, BlobsThatFindNoRoomGetIt) {
  create({spec("a", 100)});
  {
    const auto store = open(growing(16 * mib));
    ASSERT_OK(store->write("a", bytes("kept")));
    ASSERT_OK(add(*store, "large", 900000));
    ASSERT_OK(add(*store, "larger", 900000));
    ASSERT_OK(store->write("larger", pattern(900000, 7)));
    EXPECT_EQ(growth_count_, 1);
    EXPECT_EQ(store->info().image_size_bytes, disk_->bytes().size());
    EXPECT_EQ(grown_to_bytes_, disk_->bytes().size());
    EXPECT_GT(disk_->bytes().size(), 4 * mib);
    ASSERT_OK(store->close());
  }
  expect_clean();
  const auto store = open();
  EXPECT_EQ(store->info().image_size_bytes, grown_to_bytes_);
  EXPECT_EQ(*store->read("a"), bytes("kept"));
  EXPECT_EQ(*store->read("larger"), pattern(900000, 7));
}

// What no image of its kind has room for is no matter of the bound.
TEST_F(Growing, AnEncryptedImageSaysWhereItEnds) {
  CreateOptions create;
  create.data_key = pattern(32, 98);
  disk_ = std::make_shared<MemoryDisk>(4 * mib);
  MemoryDevice there(disk_);
  ASSERT_OK(create_image(there, create));
  OpenOptions options = growing(1024 * mib);
  options.keys = KeyRing::of_data_key(create.data_key);
  const auto store = open(std::move(options));
  std::vector<BlobSpec> many;
  for (int blob = 0; blob < 120; ++blob) {
    many.push_back(spec("b" + std::to_string(blob), 900000));
  }
  const Status refused = store->register_blobs(many);
  EXPECT_KIND(refused, no_space);
  EXPECT_NE(refused.error().cause().find("pages at most"), std::string::npos)
      << refused.error().text();
  EXPECT_EQ(growth_count_, 0);
}

TEST_F(Growing, SoDoThoseOfTheOpeningAndThoseThatGrow) {
  create({spec("a", 100)});
  OpenOptions options = growing(16 * mib);
  options.blobs = {spec("a", 900000), spec("b", 900000)};
  const auto store = open(std::move(options));
  EXPECT_EQ(growth_count_, 1);
  EXPECT_EQ(store->blob("b")->size_max_bytes, 900000U);
  const std::vector<NewBlob> more = {{.spec = spec("c", 900000), .content = pattern(900000, 3)},
                                     {.spec = spec("d", 900000), .content = std::nullopt}};
  ASSERT_OK(store->register_blobs(std::span<const NewBlob>(more)));
  EXPECT_EQ(growth_count_, 2);
  EXPECT_EQ(*store->read("c"), pattern(900000, 3));
}

TEST_F(Growing, NotUnlessAsked) {
  create({spec("a", 100)});
  const auto store = open();
  ASSERT_OK(add(*store, "large", 900000));
  EXPECT_KIND(add(*store, "larger", 900000), no_space);
  EXPECT_EQ(disk_->bytes().size(), 4 * mib);
}

TEST_F(Growing, NotFurtherThanAllowed) {
  create({spec("a", 100)});
  const auto store = open(growing(6 * mib));
  ASSERT_OK(add(*store, "large", 900000));
  ASSERT_OK(store->write("a", bytes("kept")));
  const auto before = disk_->copy();
  const Status refused = store->register_blobs(
      std::vector<BlobSpec>{spec("b", 900000), spec("c", 900000), spec("d", 900000)});
  EXPECT_KIND(refused, no_space);
  EXPECT_NE(refused.error().cause().find("6291456"), std::string::npos) << refused.error().text();
  EXPECT_EQ(disk_->copy(), before);
  // But as far as that.
  ASSERT_OK(add(*store, "b", 900000));
  EXPECT_EQ(disk_->bytes().size(), 6 * mib);
  EXPECT_EQ(*store->read("a"), bytes("kept"));
}

TEST_F(Growing, NotForEachSmallBlob) {
  create({spec("a", 100)});
  const auto store = open(growing(16 * mib));
  ASSERT_OK(add(*store, "large", 900000));
  for (int i = 0; i < 40; ++i) {
    ASSERT_OK(add(*store, "small" + std::to_string(i), 8192));
  }
  EXPECT_EQ(growth_count_, 1);
}

// A block device, say, or a VM image: somebody else lengthens it.
TEST_F(Growing, ADeviceThatCannotGivesWhatItHas) {
  create({spec("a", 100)});
  ends_.resize = false;
  {
    const auto store = open_ending(16 * mib);
    ASSERT_OK(add(*store, "large", 900000));
    const Status refused = add(*store, "larger", 900000);
    EXPECT_KIND(refused, no_space);
    EXPECT_NE(refused.error().cause().find("it has its size"), std::string::npos);
    EXPECT_EQ(refused.error().remedy(), "lengthen it");
    // Not a whole step, and while the store is open.
    disk_->bytes().resize(disk_->bytes().size() + (1600 << 10U));
    ASSERT_OK(add(*store, "larger", 900000));
    EXPECT_EQ(store->info().image_size_bytes, disk_->bytes().size());
    ASSERT_OK(store->write("larger", pattern(900000, 7)));
  }
  expect_clean();
  EXPECT_EQ(*open()->read("larger"), pattern(900000, 7));
}

// Whose end its third superblock stays at.
TEST_F(Growing, NoMoreOfALongerDeviceThanIsNeeded) {
  create({spec("a", 100)});
  disk_->bytes().resize(32 * mib);
  {
    const auto store = open(growing(16 * mib));
    ASSERT_OK(add(*store, "large", 900000));
    ASSERT_OK(add(*store, "larger", 900000));
    EXPECT_EQ(disk_->bytes().size(), 32 * mib);
    EXPECT_LT(store->info().image_size_bytes, 8 * mib);
  }
  expect_clean();
}

TEST_F(Growing, WhereThereIsNoSpaceToSpareItTakesWhatItNeeds) {
  create({spec("a", 100)});
  ends_.size_max_bytes = 4 * mib + (1600 << 10U);
  const auto store = open_ending(16 * mib);
  ASSERT_OK(add(*store, "large", 900000));
  ASSERT_OK(add(*store, "larger", 900000));
  EXPECT_LE(disk_->bytes().size(), ends_.size_max_bytes);
  EXPECT_LT(store->info().space_free_bytes, 4U * block_size_bytes);
}

TEST_F(Growing, WhereThereIsNoneItIsSaidAndEverythingElseGoesOn) {
  create({spec("a", 100)});
  ends_.size_max_bytes = 4 * mib + (64 << 10U);
  const auto store = open_ending(16 * mib);
  ASSERT_OK(add(*store, "large", 900000));
  const Status refused = add(*store, "larger", 900000);
  EXPECT_KIND(refused, no_space);
  EXPECT_NE(refused.error().cause().find("no space left"), std::string::npos);
  EXPECT_EQ(disk_->bytes().size(), 4 * mib);
  EXPECT_FALSE(store->info().poisoned);
  ASSERT_OK(store->write("large", pattern(900000, 2)));
  ASSERT_OK(store->close());
  expect_clean();
}

// Enough is free, but in more pieces than a blob can be in.
TEST_F(Growing, FreeSpaceInTooManyPiecesIsNoRoomEither) {
  create({spec("a", 100)});
  {
    const auto store = open();
    int count = 0;
    while (add(*store, "b" + std::to_string(count), block_size_bytes)) {
      ++count;
    }
    ASSERT_GT(count, 80);
    for (int page = 0; page < 80; page += 2) {
      ASSERT_OK(store->remove_blob("b" + std::to_string(page)));
    }
    EXPECT_KIND(add(*store, "in-pieces", 30U * block_size_bytes), no_space);
  }
  const auto store = open(growing(16 * mib));
  ASSERT_OK(add(*store, "in-pieces", 30U * block_size_bytes));
  EXPECT_EQ(growth_count_, 1);
}

TEST_F(Growing, NoBlobsForWhichItWouldNotHelp) {
  create({spec("a", 100)});
  const auto store = open(growing(16 * mib));
  const std::uint64_t max_bytes = store->info().blob_size_max_bytes;
  EXPECT_KIND(add(*store, "too-large", max_bytes + block_size_bytes), too_large);
  EXPECT_KIND(store->register_blobs(
                  std::vector<BlobSpec>{{.name = "a", .type = "other", .size_max_bytes = 100}}),
              type_mismatch);
  EXPECT_EQ(growth_count_, 0);
}

TEST_F(Growing, AnEncryptedOneIsRandomAndOpens) {
  disk_ = std::make_shared<MemoryDisk>(4 * mib);
  CreateOptions create;
  create.data_key = pattern(32, 99);
  MemoryDevice fresh(disk_);
  ASSERT_OK(create_image(fresh, create));
  OpenOptions options = growing(16 * mib);
  options.keys = KeyRing::of_data_key(create.data_key);
  const std::uint64_t old_bytes = disk_->bytes().size();
  {
    const auto store = open(options);
    ASSERT_OK(add(*store, "large", 900000));
    ASSERT_OK(add(*store, "larger", 900000));
    ASSERT_OK(add(*store, "largest", 900000));
    ASSERT_GE(growth_count_, 1);
    const Bytes zeros(block_size_bytes);
    const Bytes content = disk_->copy();
    const std::uint64_t end_bytes = store->info().image_size_bytes - third_room_bytes;
    for (std::uint64_t at = old_bytes - third_room_bytes; at < end_bytes; at += block_size_bytes) {
      EXPECT_FALSE(
          std::equal(zeros.begin(), zeros.end(), content.begin() + static_cast<std::ptrdiff_t>(at)))
          << at;
    }
    ASSERT_OK(store->write("largest", pattern(900000, 1)));
  }
  MemoryDevice there(disk_, Access::read_only);
  EXPECT_TRUE(check_image(there, {}, options.keys)->clean());
  EXPECT_EQ(*open(options)->read("largest"), pattern(900000, 1));
}

// With threads of the store's, which checkpoint meanwhile, and one that reads.
TEST_F(Growing, ReadsAndCheckpointsGoOnBesideIt) {
  create({spec("a", 200000)});
  OpenOptions options = growing(64 * mib);
  options.background = true;
  options.cache_size_bytes = cache_size_min_bytes;
  const auto store = open(std::move(options));
  ASSERT_OK(store->write("a", pattern(200000, 1)));
  ASSERT_OK(store->checkpoint());
  std::atomic<bool> done = false;
  std::thread reader([&] {
    while (!done) {
      EXPECT_EQ(*store->read("a"), pattern(200000, 1));
    }
  });
  for (int i = 0; i < 12; ++i) {
    const std::string name = "b" + std::to_string(i);
    ASSERT_OK(add(*store, name, 900000));
    EXPECT_OK(store->write(name, pattern(900000, static_cast<unsigned>(i))));
  }
  done = true;
  reader.join();
  EXPECT_GE(growth_count_, 2);
  ASSERT_OK(store->close());
  expect_clean();
}

} // namespace
} // namespace vnvram
