#include "support/memory_blobs.h"

#include <algorithm>
#include <utility>

#include "vnvram/block_device.h"

namespace vnvram::test {
namespace {

std::uint64_t whole_blocks_bytes(std::uint64_t size_bytes) {
  return (size_bytes + block_size_bytes - 1) / block_size_bytes * block_size_bytes;
}

} // namespace

MemoryBlobs::MemoryBlobs(std::uint64_t space_bytes, std::uint64_t blob_size_max_bytes)
    : space_bytes_(space_bytes), blob_size_max_bytes_(blob_size_max_bytes) {}

Status MemoryBlobs::check_attached() const {
  return attached_ ? Status() : Error(ErrorKind::absent, "memory: no image is attached");
}

std::uint64_t MemoryBlobs::space_used_bytes() const {
  std::uint64_t used_bytes = 0;
  for (const auto& [name, blob] : blobs_) {
    used_bytes += whole_blocks_bytes(blob.info.size_max_bytes);
  }
  return used_bytes;
}

Result<std::vector<BlobInfo>> MemoryBlobs::blobs() {
  const std::lock_guard lock(mutex_);
  if (Status attached = check_attached(); !attached) {
    return attached.error();
  }
  std::vector<BlobInfo> all;
  for (const auto& [name, blob] : blobs_) {
    all.push_back(blob.info);
  }
  return all;
}

Result<const MemoryBlobs::Blob*> MemoryBlobs::find(std::string_view name) const {
  if (Status attached = check_attached(); !attached) {
    return attached.error();
  }
  const auto found = blobs_.find(name);
  if (found == blobs_.end()) {
    return Error(ErrorKind::not_found, "memory: no blob " + std::string(name));
  }
  return &found->second;
}

Result<BlobInfo> MemoryBlobs::blob(std::string_view name) {
  const std::lock_guard lock(mutex_);
  const Result<const Blob*> found = find(name);
  if (!found) {
    return found.error();
  }
  return (*found)->info;
}

Result<ImageState> MemoryBlobs::state() {
  const std::lock_guard lock(mutex_);
  if (Status attached = check_attached(); !attached) {
    return attached.error();
  }
  ImageState state;
  state.uuid.fill(std::byte{0x5a});
  state.generation = generation_;
  state.sealed = sealed_;
  state.space_free_bytes = space_bytes_ - space_used_bytes();
  state.blob_size_max_bytes = blob_size_max_bytes_;
  return state;
}

Result<std::vector<std::byte>> MemoryBlobs::read_all(std::string_view name) {
  const std::lock_guard lock(mutex_);
  const Result<const Blob*> found = find(name);
  if (!found) {
    return found.error();
  }
  return (*found)->content;
}

Status MemoryBlobs::read(std::string_view name, std::uint64_t offset_bytes,
                         std::span<std::byte> bytes) {
  const std::lock_guard lock(mutex_);
  const Result<const Blob*> found = find(name);
  if (!found) {
    return found.error();
  }
  const Blob& blob = **found;
  if (offset_bytes > blob.info.size_max_bytes ||
      bytes.size() > blob.info.size_max_bytes - offset_bytes) {
    return Error(ErrorKind::too_large, "memory: a read behind the blob's end");
  }
  std::fill(bytes.begin(), bytes.end(), std::byte{0});
  const std::uint64_t begin = std::min<std::uint64_t>(offset_bytes, blob.content.size());
  const std::uint64_t count = std::min<std::uint64_t>(bytes.size(), blob.content.size() - begin);
  std::copy_n(blob.content.begin() + static_cast<std::ptrdiff_t>(begin), count, bytes.begin());
  return {};
}

Status MemoryBlobs::begin_call() {
  if (Status attached = check_attached(); !attached) {
    return attached;
  }
  ++change_count_;
  if (fault_ && --fault_->count == 0) {
    const Fault fault = *std::exchange(fault_, std::nullopt);
    if (fault.at == FailsAt::request) {
      return Error(fault.kind, "memory: the call fails, as was asked for");
    }
    answer_is_lost_ = true;
  }
  return {};
}

Status MemoryBlobs::begin_change(std::unique_lock<std::mutex>& lock) {
  changed_.wait(lock, [this] { return !held_; });
  if (Status begun = begin_call(); !begun) {
    return begun;
  }
  if (sealed_) {
    return Error(ErrorKind::sealed, "memory: the image is sealed");
  }
  return poisoned_ ? Error(ErrorKind::poisoned, "memory: a write has failed") : Status();
}

Status MemoryBlobs::end_call() {
  return std::exchange(answer_is_lost_, false)
             ? Error(ErrorKind::io, "memory: the answer is lost, as was asked for")
             : Status();
}

Status MemoryBlobs::make_durable() {
  bool differs = false;
  for (const auto& [name, blob] : blobs_) {
    differs = differs || blob.durable != blob.content;
  }
  if (!differs) {
    return {};
  }
  if (poisoned_) {
    return Error(ErrorKind::poisoned, "memory: a write has failed");
  }
  if (broken_) {
    poisoned_ = true;
    return Error(ErrorKind::io, "memory: the device is broken");
  }
  ++generation_;
  for (auto& [name, blob] : blobs_) {
    if (blob.durable != blob.content) {
      blob.durable = blob.content;
      blob.info.generation = generation_;
    }
  }
  return {};
}

Status MemoryBlobs::apply(Blobs& blobs, const Transaction::Update& update) {
  const auto found = blobs.find(update.blob);
  if (found == blobs.end()) {
    return Error(ErrorKind::not_found, "memory: no blob " + update.blob);
  }
  Blob& blob = found->second;
  const std::uint64_t length_bytes = update.bytes.size() + update.zero_length_bytes;
  if (update.offset_bytes > blob.info.size_max_bytes ||
      length_bytes > blob.info.size_max_bytes - update.offset_bytes) {
    return Error(ErrorKind::too_large, "memory: more than blob " + update.blob + " may hold");
  }
  const bool sets_size =
      update.action == Transaction::Action::write || update.action == Transaction::Action::set_size;
  if (sets_size || (length_bytes > 0 && blob.content.size() < update.end_bytes())) {
    blob.content.resize(update.end_bytes());
  }
  const auto at = blob.content.begin() + static_cast<std::ptrdiff_t>(update.offset_bytes);
  if (update.action != Transaction::Action::set_size) {
    std::fill_n(std::copy(update.bytes.begin(), update.bytes.end(), at), update.zero_length_bytes,
                std::byte{0});
  }
  blob.info.size_bytes = blob.content.size();
  return {};
}

Result<std::uint64_t> MemoryBlobs::change(const Transaction& transaction, bool durable) {
  std::unique_lock lock(mutex_);
  if (Status begun = begin_change(lock); !begun) {
    return begun.error();
  }
  Blobs changed = blobs_;
  std::uint64_t changed_bytes = 0;
  for (const Transaction::Update& update : transaction.updates()) {
    if (Status applied = apply(changed, update); !applied) {
      return applied.error();
    }
    changed_bytes += update.bytes.size();
  }
  if (changed_bytes > blob_size_max_bytes_) {
    return Error(ErrorKind::too_large, "memory: more than a transaction may change");
  }
  blobs_ = std::move(changed);
  if (!durable) {
    if (broken_) { // What waits is committed at once, and that fails.
      poisoned_ = true;
      lock.unlock();
      tell(Error(ErrorKind::io, "memory: the device is broken"));
    }
    return 0;
  }
  if (Status made = make_durable(); !made) {
    return made.error();
  }
  if (Status ended = end_call(); !ended) {
    return ended.error();
  }
  return generation_;
}

Status MemoryBlobs::flush() {
  const std::lock_guard lock(mutex_);
  if (Status begun = begin_call(); !begun) {
    return begun;
  }
  Status made = make_durable();
  return made ? end_call() : made;
}

Status MemoryBlobs::register_one(Blobs& blobs, const BlobSpec& spec) {
  if (spec.name.empty() || spec.name.size() > blob_name_max_bytes || spec.size_max_bytes == 0 ||
      spec.size_max_bytes > blob_size_max_bytes) {
    return Error(ErrorKind::invalid_argument, "memory: no blob can be registered like that");
  }
  BlobInfo& info = blobs[spec.name].info;
  if (!info.name.empty() && info.type != spec.type) {
    return Error(ErrorKind::type_mismatch, "memory: blob " + spec.name + " is of another type");
  }
  info.name = spec.name;
  info.type = spec.type;
  info.producer = spec.producer;
  info.attributes = spec.attributes;
  info.size_max_bytes = std::max(info.size_max_bytes, spec.size_max_bytes);
  return {};
}

Status MemoryBlobs::register_blobs(std::span<const BlobSpec> specs) {
  std::unique_lock lock(mutex_);
  if (Status begun = begin_change(lock); !begun) {
    return begun;
  }
  Blobs before = blobs_;
  for (const BlobSpec& spec : specs) {
    if (Status registered = register_one(blobs_, spec); !registered) {
      blobs_ = std::move(before);
      return registered;
    }
  }
  if (space_used_bytes() > space_bytes_) {
    blobs_ = std::move(before);
    return Error(ErrorKind::no_space, "memory: no room for the blobs");
  }
  ++generation_;
  return end_call();
}

void MemoryBlobs::fail(std::uint64_t count, FailsAt at, ErrorKind kind) {
  const std::lock_guard lock(mutex_);
  fault_ = Fault{.count = count, .at = at, .kind = kind};
}

void MemoryBlobs::break_device() {
  const std::lock_guard lock(mutex_);
  broken_ = true;
}

void MemoryBlobs::set_watcher(const void* who, std::function<void(const Error&)> watcher) {
  const std::lock_guard lock(mutex_);
  watchers_[who] = std::move(watcher);
}

void MemoryBlobs::tell(const Error& error) {
  const std::lock_guard lock(mutex_);
  for (const auto& [who, watcher] : watchers_) {
    if (watcher) {
      watcher(error);
    }
  }
}

void MemoryBlobs::set_sealed(bool sealed) {
  const std::lock_guard lock(mutex_);
  sealed_ = sealed;
}

void MemoryBlobs::set_attached(bool attached) {
  const std::lock_guard lock(mutex_);
  attached_ = attached;
}

void MemoryBlobs::set_held(bool held) {
  const std::lock_guard lock(mutex_);
  held_ = held;
  if (held) {
    [[maybe_unused]] const Status made = make_durable();
  }
  changed_.notify_all();
}

void MemoryBlobs::remove(std::string_view name) {
  const std::lock_guard lock(mutex_);
  if (const auto found = blobs_.find(name); found != blobs_.end()) {
    blobs_.erase(found);
    ++generation_;
  }
}

std::vector<std::byte> MemoryBlobs::durable_content(std::string_view name) {
  const std::lock_guard lock(mutex_);
  const auto found = blobs_.find(name);
  return found == blobs_.end() ? std::vector<std::byte>() : found->second.durable;
}

std::uint64_t MemoryBlobs::change_count() {
  const std::lock_guard lock(mutex_);
  return change_count_;
}

} // namespace vnvram::test
