#include "store/stage.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include <fmt/core.h>

#include "store/byte_differences.h"

namespace vnvram {

namespace {

constexpr std::size_t size_field = offsetof(format::DirectoryEntry, size_bytes);
constexpr std::size_t producer_field = offsetof(format::DirectoryEntry, producer);

std::uint32_t page_of(std::uint64_t offset_bytes) {
  return static_cast<std::uint32_t>(offset_bytes / block_size_bytes);
}

Error too_large(const Blob& blob, std::uint64_t end_bytes) {
  return {ErrorKind::too_large,
          fmt::format("blob {}: {} bytes are more than its largest size of {}", blob.info.name,
                      end_bytes, blob.info.size_max_bytes),
          "register the blob with a larger size first"};
}

} // namespace

void Stage::begin(std::uint64_t generation) {
  generation_ = generation;
  builder_.clear();
  staged_.clear();
  undo_.clear();
  changes_.clear();
}

Status Stage::check(const Transaction& transaction, Directory& directory,
                    const KnownAttributes& known) const {
  for (const Transaction::Update& update : transaction.updates()) {
    const Blob* blob = directory.find(update.blob);
    if (blob == nullptr) {
      return Error{ErrorKind::not_found, fmt::format("no blob {}", update.blob),
                   "register it first; `ls` shows what is there"};
    }
    for (const Attribute& attribute : blob->info.attributes) {
      if (attribute.must_know && !known.contains(attribute.name)) {
        return Error{ErrorKind::too_new,
                     fmt::format("blob {}: attribute {} must be known to use its bytes",
                                 update.blob, attribute.name),
                     "use a program that knows it"};
      }
    }
    const std::uint64_t size_max = blob->info.size_max_bytes;
    const std::uint64_t length = update.bytes.size() + update.zero_length_bytes;
    if (update.offset_bytes > size_max || length > size_max - update.offset_bytes) {
      return too_large(*blob, update.end_bytes());
    }
  }
  return {};
}

Status Stage::add(const Transaction& transaction, Directory& directory,
                  const KnownAttributes& known, bool& record_full) {
  record_full = false;
  const Status checked = check(transaction, directory, known);
  if (!checked) {
    return checked;
  }
  const bool alone = builder_.empty();
  const format::RecordBuilder::Mark mark = builder_.mark();
  std::vector<BlobChange> changes_before = changes_;
  ++transaction_;
  undo_.clear();
  for (BlobChange& change : changes_) {
    change.changed_by_transaction = false;
  }
  Status applied;
  for (const Transaction::Update& update : transaction.updates()) {
    applied = apply(update, change_of(directory.find(update.blob)));
    if (!applied) {
      break;
    }
  }
  for (std::size_t i = 0; applied && i < changes_.size(); ++i) {
    applied = write_entry(changes_[i]);
  }
  if (applied && !fits()) {
    record_full = !alone;
    applied = Error{ErrorKind::too_large,
                    fmt::format("the transaction needs a record of {} blocks and the ring takes {}",
                                builder_.block_count(), record_block_count_max_),
                    "commit less at once, or make the image with a larger ring"};
  }
  if (!applied) {
    rollback(mark, std::move(changes_before));
  }
  return applied;
}

void Stage::rollback(const format::RecordBuilder::Mark& mark, std::vector<BlobChange> changes) {
  builder_.rollback(mark);
  changes_ = std::move(changes);
  for (auto undo = undo_.rbegin(); undo != undo_.rend(); ++undo) {
    if (undo->before.content == nullptr) {
      staged_.erase(undo->page);
    } else {
      staged_[undo->page] = undo->before;
    }
  }
  undo_.clear();
}

Stage::BlobChange& Stage::change_of(Blob* blob) {
  for (BlobChange& change : changes_) {
    if (change.blob == blob) {
      return change;
    }
  }
  changes_.push_back({blob, blob->info.size_bytes, false, false, {}});
  return changes_.back();
}

Status Stage::apply(const Transaction::Update& update, BlobChange& change) {
  const std::uint64_t end = update.end_bytes();
  const format::RecordBuilder::Mark mark_before = builder_.mark();
  const std::uint64_t size_before = change.size_bytes;
  Status done;
  switch (update.action) {
  case Transaction::Action::write:
    done = put(change, 0, update.bytes);
    if (done && end < change.size_bytes) {
      done = put_zeros(change, end, change.size_bytes - end);
    }
    change.size_bytes = end;
    break;
  case Transaction::Action::write_range:
    done = put(change, update.offset_bytes, update.bytes);
    change.size_bytes = std::max(change.size_bytes, end);
    break;
  case Transaction::Action::zero_range:
    done = put_zeros(change, update.offset_bytes, update.zero_length_bytes);
    change.size_bytes = std::max(change.size_bytes, end);
    break;
  case Transaction::Action::set_size:
    if (update.offset_bytes < change.size_bytes) {
      done = put_zeros(change, update.offset_bytes, change.size_bytes - update.offset_bytes);
    }
    change.size_bytes = update.offset_bytes;
    break;
  }
  const bool never_written = change.blob->info.generation == 0;
  change.changed_by_transaction = change.changed_by_transaction || never_written ||
                                  change.size_bytes != size_before ||
                                  builder_.mark() != mark_before;
  return done;
}

Status Stage::put(BlobChange& change, std::uint64_t offset_bytes,
                  std::span<const std::byte> bytes) {
  for (const SpaceRange& range : change.blob->longest_ranges(offset_bytes, bytes.size())) {
    const Status written = write_space(range.offset_bytes, bytes.first(range.length_bytes));
    if (!written) {
      return written;
    }
    bytes = bytes.subspan(range.length_bytes);
  }
  return {};
}

Status Stage::put_zeros(BlobChange& change, std::uint64_t offset_bytes,
                        std::uint64_t length_bytes) {
  for (const SpaceRange& range : change.blob->longest_ranges(offset_bytes, length_bytes)) {
    const Status zeroed = zero_space(range.offset_bytes, range.length_bytes);
    if (!zeroed) {
      return zeroed;
    }
  }
  return {};
}

Status Stage::write_entry(BlobChange& change) {
  if (!change.changed_by_transaction) {
    return {};
  }
  change.changed = true;
  const std::uint64_t entry = change.blob->entry_offset_bytes;
  std::array<std::uint64_t, 2> fields = {change.size_bytes, generation_};
  const Status written = write_space(entry + size_field, std::as_bytes(std::span(fields)));
  const std::string& producer = change.blob->next_producer;
  if (!written || producer.empty() || producer == change.blob->info.producer) {
    return written;
  }
  std::array<char, sizeof(format::DirectoryEntry::producer)> text{};
  std::copy(producer.begin(), producer.end(), text.begin());
  return write_space(entry + producer_field, std::as_bytes(std::span(text)));
}

Result<PageRef> Stage::current(std::uint32_t page) {
  if (const auto found = staged_.find(page); found != staged_.end()) {
    return PageRef(found->second.content);
  }
  return pages_.load(page);
}

Page& Stage::writable(std::uint32_t page, const PageRef& current) {
  StagedPage& staged = staged_[page];
  if (staged.content == nullptr || staged.transaction != transaction_) {
    undo_.push_back({page, staged});
    staged = {std::make_shared<Page>(*current), transaction_};
  }
  return *staged.content;
}

Status Stage::write_space(std::uint64_t offset_bytes, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    std::size_t done = bytes_unchanged(offset_bytes, bytes);
    if (done == 0) {
      const std::size_t in_page = block_size_bytes - (offset_bytes % block_size_bytes);
      done = std::min(bytes.size(), in_page);
      const Status written = write_in_page(offset_bytes, bytes.first(done));
      if (!written) {
        return written;
      }
    }
    offset_bytes += done;
    bytes = bytes.subspan(done);
  }
  return {};
}

// Most pages of a rewrite are as they were: passed over quickly, not even a reference is taken.
std::size_t Stage::bytes_unchanged(std::uint64_t offset_bytes,
                                   std::span<const std::byte> bytes) const {
  const std::uint32_t page = page_of(offset_bytes);
  if (offset_bytes % block_size_bytes != 0 || bytes.size() < block_size_bytes) {
    return 0;
  }
  std::uint32_t unstaged = 0; // Pages that are staged are not as installed.
  const std::size_t page_count =
      std::min(bytes.size() / block_size_bytes, PageStore::matched_page_count_max);
  while (unstaged < page_count && (staged_.empty() || !staged_.contains(page + unstaged))) {
    ++unstaged;
  }
  return pages_.matching_bytes(page, bytes.first(std::size_t{unstaged} * block_size_bytes));
}

Status Stage::write_in_page(std::uint64_t offset_bytes, std::span<const std::byte> bytes) {
  const std::uint32_t page = page_of(offset_bytes);
  const std::size_t in_page = offset_bytes % block_size_bytes;
  const Result<PageRef> before = current(page);
  if (!before) {
    return before.error();
  }
  const std::span<const std::byte> old_bytes =
      std::span((*before)->bytes).subspan(in_page, bytes.size());
  for_each_difference(old_bytes, bytes, [&](std::size_t begin, std::size_t length) {
    builder_.add_bytes(offset_bytes + begin, bytes.subspan(begin, length));
    std::memcpy(writable(page, *before).bytes.data() + in_page + begin, bytes.data() + begin,
                length);
  });
  return {};
}

Status Stage::zero_space(std::uint64_t offset_bytes, std::uint32_t length_bytes) {
  while (length_bytes > 0) {
    const std::size_t in_page = offset_bytes % block_size_bytes;
    const auto length =
        static_cast<std::uint32_t>(std::min<std::size_t>(length_bytes, block_size_bytes - in_page));
    const Result<PageRef> before = current(page_of(offset_bytes));
    if (!before) {
      return before.error();
    }
    const auto part = std::span((*before)->bytes).subspan(in_page, length);
    if (std::any_of(part.begin(), part.end(), [](std::byte b) { return b != std::byte{0}; })) {
      builder_.add_zeros(offset_bytes, length);
      std::memset(writable(page_of(offset_bytes), *before).bytes.data() + in_page, 0, length);
    }
    offset_bytes += length;
    length_bytes -= length;
  }
  return {};
}

std::vector<PageUpdate> Stage::take_pages() {
  std::vector<PageUpdate> updates;
  updates.reserve(staged_.size());
  for (auto& [page, staged] : staged_) {
    updates.push_back({page, std::move(staged.content)});
  }
  staged_.clear();
  undo_.clear();
  return updates;
}

void Stage::prepare_blob_changes() {
  for (BlobChange& change : changes_) {
    const Blob& blob = *change.blob;
    change.producer = blob.next_producer.empty() ? blob.info.producer : blob.next_producer;
  }
}

void Stage::apply_blob_changes() noexcept {
  for (BlobChange& change : changes_) {
    if (change.changed) {
      BlobInfo& info = change.blob->info;
      info.size_bytes = change.size_bytes;
      info.generation = generation_;
      info.producer = std::move(change.producer);
    }
  }
}

} // namespace vnvram
