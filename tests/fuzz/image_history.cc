#include "fuzz/image_history.h"

#include <memory>

#include "device/memory_device.h"
#include "fuzz/require.h"
#include "support/random.h"
#include "vnvram/store.h"

namespace vnvram::fuzz {
namespace {

constexpr std::uint64_t image_size_bytes = std::uint64_t{448} << 10U;
constexpr std::uint64_t ring_size_bytes = std::uint64_t{96} << 10U;
constexpr std::size_t small_blob_count = 7; // With the two large ones: two directory pages.

std::vector<BlobSpec> specs() {
  std::vector<BlobSpec> result;
  result.push_back({"tpm2.permanent", "libtpms", 20000, "fuzz 1", {{"colour", "blue", false}}});
  result.push_back({"uefi.variables", "edk2", 40000, "fuzz 1", {}});
  for (std::size_t i = 0; i < small_blob_count; ++i) {
    result.push_back({"small." + std::to_string(i), "test", 100, {}, {}});
  }
  return result;
}

std::shared_ptr<MemoryDisk> create() {
  auto disk = std::make_shared<MemoryDisk>(image_size_bytes);
  MemoryDevice device(disk);
  CreateOptions options;
  options.ring_size_bytes = ring_size_bytes;
  for (BlobSpec& spec : specs()) {
    options.blobs.push_back({std::move(spec), std::nullopt});
  }
  const Status created = create_image(device, options);
  require(created.ok(), "a small image can be made");
  return disk;
}

std::unique_ptr<Store> open(const std::shared_ptr<MemoryDisk>& disk) {
  OpenOptions options;
  options.background = false;
  auto store = Store::open(std::make_unique<MemoryDevice>(disk), std::move(options));
  require(store.ok(), "an image of ours can be opened");
  return *std::move(store);
}

Contents contents(Store& store) {
  Contents result;
  for (const BlobInfo& blob : store.blobs()) {
    result[blob.name] = *store.read(blob.name);
  }
  return result;
}

} // namespace

const ImageHistory& ImageHistory::get() {
  static const ImageHistory history;
  return history;
}

ImageHistory::ImageHistory() {
  constexpr int owners = 4;
  constexpr int commits_of_an_owner = 12;
  std::shared_ptr<MemoryDisk> disk = create();
  images_.push_back(disk->bytes());
  test::Random random(1);
  for (int owner = 0; owner < owners; ++owner) {
    const std::unique_ptr<Store> store = open(disk);
    contents_[store->info().generation] = contents(*store);
    for (int commit = 0; commit < commits_of_an_owner; ++commit) {
      Transaction transaction;
      transaction.write("uefi.variables", random.bytes(random.below(9000)));
      if (commit % 2 == 0) {
        transaction.write_range("tpm2.permanent", random.below(10000), random.bytes(200));
        transaction.write("small." + std::to_string(random.below(small_blob_count)),
                          random.bytes(random.below(100)));
      }
      require(store->commit(transaction).ok(), "a small commit succeeds");
      contents_[store->info().generation] = contents(*store);
      if (commit % 5 == 4) {
        images_.push_back(disk->bytes());
      }
    }
    if (owner % 2 == 0) {
      require(store->close().ok(), "a store closes");
      last_closed_ = images_.size();
      images_.push_back(disk->bytes());
    } else {
      disk = std::make_shared<MemoryDisk>(disk->bytes()); // This one dies: its lock goes with it.
    }
  }
}

const Contents* ImageHistory::contents_of(std::uint64_t generation) const {
  const auto found = contents_.find(generation);
  return found == contents_.end() ? nullptr : &found->second;
}

} // namespace vnvram::fuzz
