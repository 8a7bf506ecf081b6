#include "fuzz/image_history.h"

#include <fstream>
#include <memory>

#include "device/memory_device.h"
#include "fuzz/require.h"
#include "support/random.h"
#include "support/temporary_directory.h"
#include "vnvram/public_metadata.h"
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

/// Of which everything is in memory.
KeySource random_key(std::uint64_t seed) {
  const test::TemporaryDirectory directory("/dev/shm");
  const std::string path = directory.path("key");
  const Bytes bytes = test::Random(seed).bytes(32);
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  auto source = KeySource::parse("file:" + path);
  require(source.ok(), "a file can have a key");
  KeyRing(std::vector{*source}).read_ahead();
  return *std::move(source);
}

std::shared_ptr<MemoryDisk> create(const std::vector<KeySource>& sources) {
  auto disk = std::make_shared<MemoryDisk>(image_size_bytes);
  MemoryDevice device(disk);
  CreateOptions options;
  options.ring_size_bytes = ring_size_bytes;
  for (BlobSpec& spec : specs()) {
    options.blobs.push_back({std::move(spec), std::nullopt});
  }
  for (const KeySource& source : sources) {
    options.key_slots.push_back({source, "fuzz"});
  }
  const Status created = create_image(device, options);
  require(created.ok(), "a small image can be made");
  require(set_public_metadata(device, "owner", "nobody").ok(), "and takes a note");
  return disk;
}

std::unique_ptr<Store> open(const std::shared_ptr<MemoryDisk>& disk, KeyRing keys) {
  OpenOptions options;
  options.background = false;
  options.keys = std::move(keys);
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

const ImageHistory& ImageHistory::plain() {
  static const ImageHistory history(false);
  return history;
}

const ImageHistory& ImageHistory::encrypted() {
  static const ImageHistory history(true);
  return history;
}

ImageHistory::ImageHistory(bool is_encrypted) {
  if (is_encrypted) {
    sources_ = {random_key(1), random_key(2)};
  }
  live();
}

void ImageHistory::live() {
  constexpr int owners = 4;
  std::shared_ptr<MemoryDisk> disk = create(sources_);
  images_.push_back(disk->bytes());
  for (int owner = 0; owner < owners; ++owner) {
    const std::unique_ptr<Store> store = open(disk, keys());
    contents_[store->info().generation] = contents(*store);
    if (owner == 2 && !sources_.empty()) {
      require(store->rotate_data_key({.holders = sources_}).ok(), "the data key is exchanged");
    }
    use(*store, *disk);
    if (owner % 2 == 0) {
      require(store->close().ok(), "a store closes");
      last_closed_ = images_.size();
      images_.push_back(disk->bytes());
    } else {
      disk = std::make_shared<MemoryDisk>(disk->bytes()); // This one dies: its lock goes with it.
    }
  }
}

void ImageHistory::use(Store& store, MemoryDisk& disk) {
  constexpr int commits = 12;
  for (int commit = 0; commit < commits; ++commit) {
    Transaction transaction;
    transaction.write("uefi.variables", random_.bytes(random_.below(9000)));
    if (commit % 2 == 0) {
      transaction.write_range("tpm2.permanent", random_.below(10000), random_.bytes(200));
      transaction.write("small." + std::to_string(random_.below(small_blob_count)),
                        random_.bytes(random_.below(100)));
    }
    require(store.commit(transaction).ok(), "a small commit succeeds");
    contents_[store.info().generation] = contents(store);
    if (commit % 5 == 4) {
      images_.push_back(disk.bytes());
    }
  }
}

const Contents* ImageHistory::contents_of(std::uint64_t generation) const {
  const auto found = contents_.find(generation);
  return found == contents_.end() ? nullptr : &found->second;
}

} // namespace vnvram::fuzz
