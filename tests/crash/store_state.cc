#include "crash/store_state.h"

#include <algorithm>

#include <fmt/core.h>

namespace vnvram::test {

template <typename Read, typename ReadRange>
Result<StoreState> StoreState::capture(const std::vector<BlobInfo>& blobs, Read read,
                                       ReadRange read_range) {
  StoreState state;
  for (const BlobInfo& info : blobs) {
    Result<std::vector<std::byte>> bytes = read(info.name);
    if (!bytes) {
      return bytes.error();
    }
    if (bytes->size() != info.size_bytes) {
      return Error(ErrorKind::corrupt, fmt::format("blob {}: {} bytes read, {} announced",
                                                   info.name, bytes->size(), info.size_bytes));
    }
    // Beyond the current size all is zero, always.
    std::vector<std::byte> rest(info.size_max_bytes - info.size_bytes);
    std::fill(rest.begin(), rest.end(), std::byte{1});
    if (Status status = read_range(info.name, info.size_bytes, rest); !status) {
      return status.error();
    }
    if (std::any_of(rest.begin(), rest.end(),
                    [](std::byte byte) { return byte != std::byte{0}; })) {
      return Error(ErrorKind::corrupt,
                   fmt::format("blob {}: old bytes beyond its size", info.name));
    }
    state.blobs_[info.name] = {.type = info.type,
                               .size_max_bytes = info.size_max_bytes,
                               .attributes = info.attributes,
                               .bytes = std::move(*bytes)};
  }
  return state;
}

Result<StoreState> StoreState::capture(Store& store) {
  return capture(
      store.blobs(), [&](const std::string& name) { return store.read(name); },
      [&](const std::string& name, std::uint64_t offset, std::span<std::byte> bytes) {
        return store.read_range(name, offset, bytes);
      });
}

Result<StoreState> StoreState::capture(BlobClient& client) {
  const Result<std::vector<BlobInfo>> blobs = client.blobs();
  if (!blobs) {
    return blobs.error();
  }
  return capture(
      *blobs, [&](const std::string& name) { return client.read_all(name); },
      [&](const std::string& name, std::uint64_t offset, std::span<std::byte> bytes) {
        return client.read(name, offset, bytes);
      });
}

StoreState StoreState::of(const std::vector<std::string>& names) const {
  StoreState state;
  for (const std::string& name : names) {
    state.blobs_.insert(*blobs_.find(name));
  }
  return state;
}

void StoreState::register_blob(const BlobSpec& spec) {
  const auto [entry, added] = blobs_.try_emplace(spec.name);
  BlobState& blob = entry->second;
  if (added) {
    blob.type = spec.type;
    blob.attributes = spec.attributes;
  }
  blob.size_max_bytes = std::max(blob.size_max_bytes, spec.size_max_bytes);
}

void StoreState::apply(const Transaction& transaction) {
  for (const Transaction::Update& update : transaction.updates()) {
    std::vector<std::byte>& bytes = blobs_.at(update.blob).bytes;
    switch (update.action) {
    case Transaction::Action::write: bytes.assign(update.bytes.begin(), update.bytes.end()); break;
    case Transaction::Action::write_range:
      bytes.resize(std::max<std::size_t>(bytes.size(), update.offset_bytes + update.bytes.size()));
      std::copy(update.bytes.begin(), update.bytes.end(),
                bytes.begin() + static_cast<std::ptrdiff_t>(update.offset_bytes));
      break;
    case Transaction::Action::zero_range:
      bytes.resize(std::max<std::size_t>(bytes.size(), update.end_bytes()));
      std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(update.offset_bytes),
                  update.zero_length_bytes, std::byte{0});
      break;
    case Transaction::Action::set_size: bytes.resize(update.offset_bytes); break;
    }
  }
}

std::string StoreState::difference(const StoreState& other) const {
  for (const auto& [name, blob] : blobs_) {
    const auto entry = other.blobs_.find(name);
    if (entry == other.blobs_.end()) {
      return fmt::format("{} is missing", name);
    }
    const BlobState& theirs = entry->second;
    if (blob.bytes != theirs.bytes) {
      const auto [mine, their] = std::mismatch(blob.bytes.begin(), blob.bytes.end(),
                                               theirs.bytes.begin(), theirs.bytes.end());
      return fmt::format("{} differs from byte {} on (sizes {} and {})", name,
                         mine - blob.bytes.begin(), blob.bytes.size(), theirs.bytes.size());
    }
    if (blob != theirs) {
      return fmt::format("{} is registered differently", name);
    }
  }
  for (const auto& [name, blob] : other.blobs_) {
    if (!blobs_.contains(name)) {
      return fmt::format("{} is there and should not be", name);
    }
  }
  return "no difference";
}

} // namespace vnvram::test
