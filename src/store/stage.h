// What the next record will change, worked out before anything is written.
#pragma once

#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "format/record_builder.h"
#include "store/directory.h"
#include "store/page.h"
#include "store/page_store.h"
#include "vnvram/result.h"
#include "vnvram/transaction.h"

namespace vnvram {

/// Collects the updates of one record: the bytes that really change, the new pages, and the new
/// sizes and generations. Nothing of it is seen by anyone until the record is durable.
///
/// Used by one thread at a time, the one that leads the commit; while it does, nobody else installs
/// pages or changes the directory.
class Stage {
public:
  using KnownAttributes = std::set<std::string, std::less<>>;

  Stage(PageStore& pages, std::uint32_t record_block_count_max)
      : pages_(pages), record_block_count_max_(record_block_count_max) {}

  /// Starts the record of this generation.
  void begin(std::uint64_t generation);

  /// Adds a transaction, whole or (on an error) not at all. too_large with `record_full` true: it
  /// would fit a record of its own.
  Status add(const Transaction& transaction, Directory& directory, const KnownAttributes& known,
             bool& record_full);

  /// For the directory's own changes: the bytes of the page space become these. Only what differs
  /// is logged.
  Status write_space(std::uint64_t offset_bytes, std::span<const std::byte> bytes);
  Status zero_space(std::uint64_t offset_bytes, std::uint32_t length_bytes);

  [[nodiscard]] bool empty() const { return builder_.empty(); }
  [[nodiscard]] bool fits() const { return builder_.block_count() <= record_block_count_max_; }
  [[nodiscard]] format::RecordBuilder& builder() { return builder_; }
  [[nodiscard]] std::uint64_t generation() const { return generation_; }

  /// The new pages, once the record is durable.
  [[nodiscard]] std::vector<PageUpdate> take_pages();
  /// What apply_blob_changes() needs memory for.
  void prepare_blob_changes();
  /// Sizes, generations and producers, into the blobs that they are about.
  void apply_blob_changes() noexcept;

private:
  struct StagedPage {
    std::shared_ptr<Page> content;
    std::uint64_t transaction =
        0; // that made this copy; an earlier one's copy is kept for rollback
  };
  struct BlobChange {
    Blob* blob = nullptr;
    std::uint64_t size_bytes = 0;
    bool changed_by_transaction = false; // the one that is being added
    bool changed = false;
    std::string producer = {}; // once it is prepared
  };
  struct Undo {
    std::uint32_t page = 0;
    StagedPage before;
  };

  BlobChange& change_of(Blob* blob);
  Status check(const Transaction& transaction, Directory& directory,
               const KnownAttributes& known) const;
  Status apply(const Transaction::Update& update, BlobChange& change);
  Status put(BlobChange& change, std::uint64_t offset_bytes, std::span<const std::byte> bytes);
  Status put_zeros(BlobChange& change, std::uint64_t offset_bytes, std::uint64_t length_bytes);
  Status write_entry(BlobChange& change);
  Result<PageRef> current(std::uint32_t page);
  Page& writable(std::uint32_t page, const PageRef& current);
  /// How many of the bytes, from the first on, a quick look finds to be there already.
  [[nodiscard]] std::size_t bytes_unchanged(std::uint64_t offset_bytes,
                                            std::span<const std::byte> bytes) const;
  Status write_in_page(std::uint64_t offset_bytes, std::span<const std::byte> bytes);
  void rollback(const format::RecordBuilder::Mark& mark, std::vector<BlobChange> changes);

  PageStore& pages_;
  const std::uint32_t record_block_count_max_;
  format::RecordBuilder builder_;
  std::uint64_t generation_ = 0;
  std::uint64_t transaction_ = 0;
  std::unordered_map<std::uint32_t, StagedPage> staged_;
  std::vector<Undo> undo_;
  std::vector<BlobChange> changes_;
};

} // namespace vnvram
