#include "unit/store/store_fixture.h"

namespace vnvram {

Bytes bytes(std::string_view text) {
  const auto* data = reinterpret_cast<const std::byte*>(text.data());
  return {data, data + text.size()};
}

Bytes pattern(std::size_t size_bytes, unsigned seed) {
  Bytes content(size_bytes);
  std::uint32_t state = seed * 2654435761U + 1;
  for (std::byte& b : content) {
    state = state * 1664525U + 1013904223U;
    b = static_cast<std::byte>(state >> 24U);
  }
  return content;
}

BlobSpec spec(std::string name, std::uint64_t size_max_bytes) {
  return {std::move(name), "test", size_max_bytes, "unit test", {}};
}

void StoreFixture::create(std::vector<BlobSpec> blobs, std::uint64_t size_bytes,
                          std::uint64_t ring_size_bytes) {
  disk_ = std::make_shared<MemoryDisk>(size_bytes);
  CreateOptions options;
  options.ring_size_bytes = ring_size_bytes;
  for (BlobSpec& blob : blobs) {
    options.blobs.push_back({std::move(blob), std::nullopt});
  }
  MemoryDevice fresh(disk_);
  const Status created = create_image(fresh, options);
  ASSERT_TRUE(created.ok()) << created.error().text();
}

OpenOptions StoreFixture::inline_options() {
  OpenOptions options;
  options.background = false;
  return options;
}

Result<std::unique_ptr<Store>> StoreFixture::try_open(OpenOptions options) {
  auto device = std::make_unique<MemoryDevice>(disk_, options.access);
  return Store::open(std::move(device), std::move(options));
}

std::unique_ptr<Store> StoreFixture::open(OpenOptions options) {
  auto store = try_open(std::move(options));
  EXPECT_TRUE(store.ok()) << store.error().text();
  return store ? *std::move(store) : nullptr;
}

std::unique_ptr<Store> StoreFixture::open_read_only() {
  OpenOptions options = inline_options();
  options.access = Access::read_only;
  return open(std::move(options));
}

std::shared_ptr<MemoryDisk> StoreFixture::copy_of_disk() {
  Bytes content(disk_->bytes().size());
  EXPECT_TRUE(MemoryDevice(disk_, Access::read_only).read(0, content).ok());
  return std::make_shared<MemoryDisk>(std::move(content));
}

void StoreFixture::forget_owner() {
  disk_ = std::make_shared<MemoryDisk>(disk_->copy());
}

} // namespace vnvram
