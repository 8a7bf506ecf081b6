#include "crash/random_changes.h"

#include <algorithm>
#include <iterator>

namespace vnvram::test {

std::string RandomChanges::some_blob(const StoreState& state) {
  const auto& blobs = state.blobs();
  return std::next(blobs.begin(), static_cast<std::ptrdiff_t>(random_.below(blobs.size())))->first;
}

void RandomChanges::add_update(Transaction& transaction, const std::string& blob,
                               const BlobState& state, unsigned kind) {
  const std::uint64_t size_max = state.size_max_bytes;
  switch (kind) {
  case 0: { // The whole blob, of which little differs.
    std::vector<std::byte> bytes = state.bytes;
    bytes.resize(std::max<std::uint64_t>(bytes.size(), 1 + random_.below(size_max)));
    for (std::uint64_t i = 1 + random_.below(4); i > 0; --i) {
      bytes.at(random_.below(bytes.size())) ^= std::byte{1};
    }
    transaction.write(blob, std::move(bytes));
    break;
  }
  case 1: transaction.write(blob, random_.bytes(random_.below(size_max + 1))); break;
  case 2:
  case 3: {
    const std::uint64_t offset = random_.below(size_max);
    const std::uint64_t length = 1 + random_.below(std::min<std::uint64_t>(size_max - offset, 700));
    transaction.write_range(blob, offset, random_.bytes(length));
    break;
  }
  default: transaction.set_size(blob, random_.below(size_max + 1)); break;
  }
}

Transaction RandomChanges::some_updates(const StoreState& state, unsigned count) {
  Transaction transaction;
  std::vector<std::string> names;
  for (unsigned i = 0; i < count; ++i) {
    const std::string name = some_blob(state);
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      names.push_back(name);
      // Small ones: several large ones would not fit half of the ring.
      add_update(transaction, name, state.blobs().at(name),
                 static_cast<unsigned>(count == 1 ? random_.below(5) : 2));
    }
  }
  return transaction;
}

Transaction RandomChanges::some_deferred_write(const StoreState& state, const std::string& blob,
                                               DeferredSize size) {
  const std::uint64_t size_max = state.blobs().at(blob).size_max_bytes;
  Transaction transaction;
  const auto write = [&](std::uint64_t offset, std::uint64_t length_max) {
    const std::uint64_t length = 1 + random_.below(std::min(size_max - offset, length_max));
    transaction.write_range(blob, offset, random_.bytes(length));
  };
  switch (random_.below(size == DeferredSize::small ? 4 : 7)) {
  case 0:
  case 1: write(random_.below(std::min<std::uint64_t>(size_max, 24)), 6); break;
  case 2: { // Over the end of a page, if it has two.
    const std::uint64_t boundary = block_size_bytes * (1 + random_.below(3));
    write(boundary < size_max ? boundary - 1 - random_.below(100) : size_max - 1, 200);
    break;
  }
  case 3: write(random_.below(size_max), 700); break;
  case 4: transaction.write_range(blob, 0, random_.bytes(size_max)); break;
  case 5: {
    const std::uint64_t offset = random_.below(size_max);
    transaction.zero_range(blob, offset, 1 + random_.below(size_max - offset));
    break;
  }
  default: transaction.zero_range(blob, 0, size_max); break;
  }
  return transaction;
}

} // namespace vnvram::test
