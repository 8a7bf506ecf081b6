#include "client/local_blob_client.h"

#include <utility>

namespace vnvram {
namespace {

using Purpose = StoreGate::Purpose;

constexpr const char* no_image = "no image is attached";

} // namespace

LocalBlobClient::~LocalBlobClient() {
  LocalBlobClient::watch_failures({});
}

Result<std::vector<BlobInfo>> LocalBlobClient::blobs() {
  Result<StoreUse> store = keeper_.use(Purpose::read);
  if (!store) {
    return store.error();
  }
  return (*store)->blobs();
}

Result<BlobInfo> LocalBlobClient::blob(std::string_view name) {
  Result<StoreUse> store = keeper_.use(Purpose::read);
  return store ? (*store)->blob(name) : store.error();
}

Result<ImageState> LocalBlobClient::state() {
  Result<StoreUse> store = keeper_.use(Purpose::read);
  return store ? Result<ImageState>(image_state((*store)->info())) : store.error();
}

Result<std::vector<std::byte>> LocalBlobClient::read_all(std::string_view blob) {
  Result<StoreUse> store = keeper_.use(Purpose::read);
  return store ? (*store)->read(blob) : store.error();
}

Status LocalBlobClient::read(std::string_view blob, std::uint64_t offset_bytes,
                             std::span<std::byte> bytes) {
  Result<StoreUse> store = keeper_.use(Purpose::read);
  return store ? (*store)->read_range(blob, offset_bytes, bytes) : store.error();
}

Status LocalBlobClient::write(std::string_view blob, std::uint64_t offset_bytes,
                              std::span<const std::byte> bytes, Durability durability) {
  Result<StoreUse> store = keeper_.use(Purpose::change);
  if (!store) {
    return store.error();
  }
  return durability == Durability::deferred
             ? (*store)->write_range_deferred(blob, offset_bytes, bytes)
             : (*store)->write_range(blob, offset_bytes, bytes);
}

Status LocalBlobClient::zero(std::string_view blob, std::uint64_t offset_bytes,
                             std::uint64_t length_bytes, Durability durability) {
  Result<StoreUse> store = keeper_.use(Purpose::change);
  if (!store) {
    return store.error();
  }
  if (durability == Durability::deferred) {
    return (*store)->zero_range_deferred(blob, offset_bytes, length_bytes);
  }
  Transaction transaction;
  transaction.zero_range(blob, offset_bytes, length_bytes);
  return (*store)->commit(transaction);
}

Result<std::uint64_t> LocalBlobClient::commit(const Transaction& transaction) {
  Result<StoreUse> store = keeper_.use(Purpose::change);
  if (!store) {
    return store.error();
  }
  if (Status committed = (*store)->commit(transaction); !committed) {
    return committed.error();
  }
  return (*store)->info().generation;
}

// While changes are held nothing waits to be flushed, and nobody shall wait for that.
Status LocalBlobClient::flush() {
  Result<StoreUse> store = keeper_.use(Purpose::read);
  return store ? (*store)->flush() : store.error();
}

Status LocalBlobClient::register_blobs(std::span<const BlobSpec> blobs) {
  Result<StoreUse> store = keeper_.use(Purpose::change);
  return store ? (*store)->register_blobs(blobs) : store.error();
}

void LocalBlobClient::watch_failures(std::function<void(const Error&)> failed_in_background) {
  const std::lock_guard lock(watch_mutex_);
  if (watch_number_ != 0) {
    keeper_.end_watch(std::exchange(watch_number_, 0));
  }
  if (failed_in_background) {
    watch_number_ = keeper_.watch_failures(std::move(failed_in_background));
  }
}

// They are nobody else's.
Status LocalBlobClient::claim(const std::vector<std::string>& blobs) {
  for (const std::string& name : blobs) {
    if (const Result<BlobInfo> found = blob(name); !found) {
      return found.error();
    }
  }
  return {};
}

// Also while it is held: by nobody but who says this.
Status LocalBlobClient::hand_over() {
  return keeper_.is_attached() ? keeper_.seal() : Error(ErrorKind::absent, no_image);
}

Status LocalBlobClient::take_back() {
  return keeper_.is_attached() ? keeper_.unseal() : Error(ErrorKind::absent, no_image);
}

Result<bool> LocalBlobClient::look_again() {
  if (!keeper_.is_attached()) {
    return Error(ErrorKind::absent, no_image);
  }
  const Result<bool> current = keeper_.is_current();
  if (!current || *current) {
    return current ? Result<bool>(false) : current.error();
  }
  const Status reopened = keeper_.reopen();
  return reopened ? Result<bool>(true) : reopened.error();
}

// The image is the keeper's to close.
Status LocalBlobClient::close() {
  return flush();
}

} // namespace vnvram
