// Images that someone made to harm whoever reads them: every checksum fits.
#include <algorithm>
#include <cstring>
#include <functional>

#include "rescue/image_dump.h"
#include "store/directory.h"
#include "support/counting_device.h"
#include "support/image_editor.h"
#include "unit/store/store_fixture.h"

namespace vnvram {
namespace {

class HostileImage : public StoreFixture {
protected:
  /// Nobody opens it, and check says that something is lost.
  void expect_corrupt() {
    EXPECT_KIND(try_open(), corrupt);
    OpenOptions reading = inline_options();
    reading.access = Access::read_only;
    EXPECT_KIND(try_open(reading), corrupt);
    auto there = device();
    const auto report = check_image(there);
    ASSERT_OK(report);
    EXPECT_FALSE(report->clean());
  }
  void link_directory_pages(ImageEditor& editor, std::uint32_t page, std::uint32_t next) {
    editor.edit_page(page, [&](std::span<std::byte> content) {
      std::memcpy(content.data() + offsetof(format::DirectoryPage, next_page), &next, sizeof(next));
    });
  }
};

TEST_F(HostileImage, ADirectoryPageOutsideTheImage) {
  for (const std::uint32_t next : {200000U, 600000U, 0xffffffffU}) {
    create({spec("a", 100)});
    ImageEditor editor(disk_->bytes());
    ASSERT_GT(next, editor.geometry().page_count());
    link_directory_pages(editor, 0, next);
    expect_corrupt();
  }
}

TEST_F(HostileImage, ADirectoryThatLeadsBackToItself) {
  create({spec("a", 100)});
  ImageEditor editor(disk_->bytes());
  link_directory_pages(editor, 0, 5);
  link_directory_pages(editor, 5, 6);
  link_directory_pages(editor, 6, 5);
  expect_corrupt();
}

TEST_F(HostileImage, ADirectoryOfMorePagesThanBlobsCanNeed) {
  create({}, std::uint64_t{32} << 20U);
  ImageEditor editor(disk_->bytes());
  constexpr std::uint32_t pages_max = directory_pages_max;
  ASSERT_GT(editor.geometry().page_count(), pages_max + 1);
  for (std::uint32_t page = 0; page < pages_max - 1; ++page) {
    link_directory_pages(editor, page, page + 1);
  }
  ASSERT_OK(try_open());
  link_directory_pages(editor, pages_max - 1, pages_max);
  disk_ = std::make_shared<MemoryDisk>(disk_->copy());
  expect_corrupt();
  auto there = device();
  const auto dump = dump_image(there);
  ASSERT_OK(dump);
  ASSERT_EQ(dump->remarks.size(), 1U);
  EXPECT_NE(dump->remarks[0].find("more pages"), std::string::npos) << dump->remarks[0];
}

// A 16-byte extent may stand for 4 GiB of zeros: records that zero everything over and over would
// keep a reader busy for days.
TEST_F(HostileImage, ZerosOverAndOverAgain) {
  create({spec("a", 100)});
  ImageEditor editor(disk_->bytes());
  editor.superblock().clean = 0; // Else nobody looks for newer records behind a broken one.
  editor.write_superblocks();
  const std::uint32_t length_bytes = (editor.geometry().page_count() - 1) << 12U;
  format::RecordBuilder builder;
  for (int record = 0; record < 10; ++record) {
    builder.clear();
    for (int i = 0; i < 100; ++i) {
      builder.add_zeros(block_size_bytes, length_bytes);
    }
    editor.append_record(builder);
  }
  expect_corrupt();
}

TEST_F(HostileImage, ZerosOnceAreFine) {
  create({spec("a", 100)});
  ImageEditor editor(disk_->bytes());
  const std::uint32_t length_bytes = (editor.geometry().page_count() - 1) << 12U;
  format::RecordBuilder builder;
  builder.add_zeros(block_size_bytes, length_bytes);
  editor.append_record(builder);
  ASSERT_OK(try_open());
}

// An engine leaves zeros in free pages. What somebody else left there must neither come back as a
// new blob's bytes nor as entries of a new directory page.
TEST_F(HostileImage, BytesInFreePages) {
  std::vector<BlobSpec> full_page;
  for (std::size_t i = 0; i < format::directory_entries_per_page; ++i) {
    full_page.push_back(spec("old" + std::to_string(i), 100));
  }
  create(full_page);
  ImageEditor editor(disk_->bytes());
  for (std::uint32_t page = format::directory_entries_per_page + 1; page < 20; ++page) {
    editor.edit_page(page, [](std::span<std::byte> content) {
      std::fill(content.begin(), content.end(), std::byte{'x'});
    });
  }
  {
    const auto store = open();
    const std::vector<BlobSpec> added = {spec("new", 10000)};
    ASSERT_OK(store->register_blobs(added));
    Transaction transaction;
    transaction.set_size("new", 10000);
    ASSERT_OK(store->commit(transaction));
    ASSERT_OK(store->close());
  }
  const auto store = open();
  ASSERT_NE(store, nullptr);
  const auto content = store->read("new");
  ASSERT_OK(content);
  EXPECT_EQ(*content, Bytes(10000));
}

// No engine takes two of one name. Whoever makes the blob larger writes its entry anew.
TEST_F(HostileImage, TwoAttributesOfOneName) {
  BlobSpec two = spec("a", 100);
  two.attributes = {{"x", "1", false}, {"y", "2", false}};
  create({two});
  {
    ImageEditor editor(disk_->bytes());
    editor.edit_page(0, [](std::span<std::byte> content) {
      const auto name = std::find(content.begin(), content.end(), std::byte{'y'});
      ASSERT_NE(name, content.end());
      *name = std::byte{'x'};
    });
  }
  if (auto store = try_open()) {
    const std::vector<BlobSpec> larger = {spec("a", 10000)};
    (void)(*store)->register_blobs(larger);
  }
  expect_corrupt();
}

TEST_F(HostileImage, CountersAtTheirEnd) {
  for (const auto field : {&format::Superblock::sequence, &format::Superblock::generation,
                           &format::Superblock::epoch_number}) {
    create({spec("a", 100)});
    ImageEditor editor(disk_->bytes());
    editor.superblock().*field = ~std::uint64_t{0};
    editor.write_superblocks();
    EXPECT_KIND(try_open(), corrupt);
  }
}

// They would open once more, and never again.
TEST_F(HostileImage, CountersTooNearTheirEndToBeWrittenTo) {
  for (const auto field : {&format::Superblock::sequence, &format::Superblock::generation,
                           &format::Superblock::epoch_number}) {
    create({spec("a", 100)});
    ImageEditor editor(disk_->bytes());
    editor.superblock().*field = format::counter_max - 1;
    editor.write_superblocks();
    const Bytes before = disk_->bytes();
    EXPECT_KIND(try_open(), corrupt);
    EXPECT_EQ(disk_->bytes(), before);
    EXPECT_NE(open_read_only(), nullptr);
    auto there = device();
    const auto report = check_image(there);
    ASSERT_OK(report);
    EXPECT_FALSE(report->clean());
  }
}

TEST_F(HostileImage, CommitsStopBeforeACounterIsAtItsEnd) {
  create({spec("a", 100)});
  ImageEditor editor(disk_->bytes());
  editor.superblock().generation = format::counter_writable_max - 2;
  editor.write_superblocks();
  {
    const auto store = open();
    ASSERT_OK(store->write("a", bytes("one")));
    ASSERT_OK(store->write("a", bytes("two")));
    EXPECT_KIND(store->write("a", bytes("three")), corrupt);
    ASSERT_OK(store->close());
  }
  const auto store = open_read_only();
  ASSERT_NE(store, nullptr);
  EXPECT_EQ(*store->read("a"), bytes("two"));
}

class HostileRing : public HostileImage {
protected:
  /// A record of so many blocks at this place, and a superblock that says that the ring begins at
  /// another.
  void put_record(std::uint32_t block_count, std::uint32_t position, std::uint32_t begins_at) {
    create({spec("a", 20000)});
    {
      ImageEditor editor(disk_->bytes());
      editor.superblock().clean = 0;
      editor.superblock().ring_position = position;
      editor.write_superblocks();
    }
    ImageEditor editor(disk_->bytes());
    format::RecordBuilder builder;
    builder.add_bytes(block_size_bytes, pattern((block_count * block_size_bytes) - 200, 1));
    editor.append_record(builder);
    editor.superblock().ring_position = begins_at;
    editor.write_superblocks();
  }
  [[nodiscard]] std::uint64_t reads_of(const std::function<void(BlockDevice&)>& read) const {
    const auto counter = std::make_shared<test::DeviceCounter>();
    test::CountingDevice counted(std::make_unique<MemoryDevice>(disk_, Access::read_only), counter);
    read(counted);
    return counter->cost().reads;
  }
};

// A writer goes to the ring's beginning only with what does not fit before the end. Charged for all
// that it left out, the ring would hold more than there is.
TEST_F(HostileRing, ARecordThatWouldHaveFitBeforeTheEndDoesNotCount) {
  put_record(2, 0, 1);
  EXPECT_LT(reads_of([](BlockDevice& device) { (void)check_image(device); }), 100U);
  expect_corrupt(); // It is whole, newer, and in a place that leads on from nothing.
  auto there = device();
  const auto dump = dump_image(there);
  ASSERT_OK(dump);
  EXPECT_TRUE(std::none_of(dump->records.begin(), dump->records.end(),
                           [](const auto& record) { return record.counts; }));
}

TEST_F(HostileRing, ADumpCountsWhatRecoveryDoes) {
  put_record(2, 5, 5);
  auto there = device();
  const auto dump = dump_image(there);
  ASSERT_OK(dump);
  EXPECT_EQ(std::count_if(dump->records.begin(), dump->records.end(),
                          [](const auto& record) { return record.counts; }),
            1);
  EXPECT_EQ(open_read_only()->info().generation, 2U);
}

// Half of a ring that nobody filled would be 2 GiB.
TEST_F(HostileRing, ARecordIsBoundedWhateverTheRingIsSaidToBe) {
  const format::Geometry geometry(format::image_block_count_max,
                                  format::image_block_count_max - 1000);
  ASSERT_TRUE(geometry.valid());
  EXPECT_EQ(geometry.record_block_count_max(), format::record_block_count_max);
  EXPECT_LE(format::record_block_count_max * block_size_bytes, std::uint64_t{64} << 20U);
}

TEST_F(HostileImage, ADumpOfARingThatTheDeviceDoesNotHave) {
  create({spec("a", 100)});
  ImageEditor editor(disk_->bytes());
  editor.superblock().image_block_count = format::image_block_count_max;
  editor.superblock().ring_block_count = format::image_block_count_max - 1000;
  editor.superblock().zones_start_block =
      format::ring_start_block + editor.superblock().ring_block_count;
  editor.write_superblocks();
  disk_->bytes()[300] = std::byte{1}; // not even right checksums: dump takes what it gets
  disk_->bytes()[block_size_bytes + 300] = std::byte{1};
  auto there = device();
  const auto dump = dump_image(there);
  ASSERT_OK(dump);
  EXPECT_LT(dump->remarks.size(), 10U);
}

} // namespace
} // namespace vnvram
