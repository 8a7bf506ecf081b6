#include "crash/example_image.h"

#include <stdexcept>
#include <string>

#include "crash/crash_explorer.h"
#include "device/memory_device.h"
#include "support/random.h"

namespace vnvram::test {
namespace {

void require(const Status& status) {
  if (!status) {
    throw std::runtime_error(status.error().text());
  }
}

/// An image under construction, and its model.
class Builder {
public:
  Builder(std::uint64_t size_bytes, unsigned blob_count, std::uint64_t blob_size_bytes,
          bool encrypted)
      : random_(blob_count), disk_(std::make_shared<MemoryDisk>(size_bytes)) {
    CreateOptions options;
    options.ring_size_bytes = std::uint64_t{64} << 10U;
    if (encrypted) {
      options.data_key = data_key();
    }
    for (unsigned i = 0; i < blob_count; ++i) {
      options.blobs.push_back(
          {.spec = {.name = "blob" + std::to_string(i),
                    .type = "example",
                    .size_max_bytes = blob_size_bytes + (std::uint64_t{100} * i)},
           .content = {}});
      state_.register_blob(options.blobs.back().spec);
    }
    MemoryDevice device(disk_);
    require(create_image(device, options));
    device.unlock();
    open();
    for (unsigned i = 0; i < blob_count; ++i) {
      Transaction whole;
      whole.write("blob" + std::to_string(i), random_.bytes(blob_size_bytes));
      commit(std::move(whole));
    }
  }

  void open() {
    auto store = Store::open(std::make_unique<MemoryDevice>(disk_), deterministic_options());
    require(store ? Status{} : store.error());
    store_ = std::move(*store);
  }
  void reopen() {
    require(store_->close());
    store_.reset();
    open();
  }
  void commit(Transaction transaction) {
    previous_ = state_;
    state_.apply(transaction);
    require(store_->commit(transaction));
  }
  void commit_small(unsigned count) {
    for (unsigned i = 0; i < count; ++i) {
      Transaction transaction;
      const std::size_t blobs = state_.blobs().size();
      transaction.write_range("blob" + std::to_string(i % blobs), random_.below(2000),
                              random_.bytes(200));
      transaction.write_range("blob" + std::to_string((i + 1) % blobs), random_.below(2000),
                              random_.bytes(20));
      commit(std::move(transaction));
    }
  }
  [[nodiscard]] ExampleImage as_interrupted() const {
    return {.bytes = disk_->bytes(), .state = state_, .last_undone = previous_};
  }
  [[nodiscard]] ExampleImage as_closed() {
    require(store_->close());
    return {.bytes = disk_->bytes(), .state = state_, .last_undone = state_};
  }

private:
  Random random_;
  std::shared_ptr<MemoryDisk> disk_;
  std::unique_ptr<Store> store_;
  StoreState state_;
  StoreState previous_;
};

constexpr std::uint64_t small_size_bytes = std::uint64_t{384} << 10U;

} // namespace

ExampleImage closed_image(bool encrypted) {
  Builder builder(small_size_bytes, 4, 6000, encrypted);
  builder.commit_small(10);
  return builder.as_closed();
}

ExampleImage interrupted_image(bool encrypted) {
  Builder builder(small_size_bytes, 4, 6000, encrypted);
  builder.commit_small(10);
  builder.reopen(); // Leaves the records of an earlier epoch in the ring.
  builder.commit_small(6);
  return builder.as_interrupted();
}

ExampleImage large_image(bool encrypted) {
  Builder builder(std::uint64_t{2} << 20U, 30, 20000, encrypted);
  builder.commit_small(40);
  return builder.as_closed();
}

} // namespace vnvram::test
