#include "capi/transaction.h"

#include <memory>

#include "capi/arguments.h"

using namespace vnvram;
using namespace vnvram::capi;

namespace {

/// Runs `append` on a transaction and a blob's name that are there.
template <typename Append>
vnvram_kind append_update(vnvram_transaction* transaction, const char* blob, vnvram_error** error,
                          Append&& append) {
  return guarded(error, [&]() -> Status {
    if (transaction == nullptr) {
      return invalid("transaction is NULL");
    }
    const auto name = take_string(blob, "a blob's name");
    if (!name) {
      return name.error();
    }
    return append(transaction->transaction, *name);
  });
}

Result<std::vector<std::byte>> copy_bytes(const void* bytes, std::size_t size) {
  const auto taken = take_bytes(bytes, size);
  if (!taken) {
    return taken.error();
  }
  return std::vector<std::byte>(taken->begin(), taken->end());
}

} // namespace

vnvram_kind vnvram_transaction_begin(vnvram_transaction** transaction, vnvram_error** error) {
  return guarded(error, [&]() -> Status {
    if (transaction == nullptr) {
      return invalid("transaction is NULL");
    }
    *transaction = std::make_unique<vnvram_transaction>().release();
    return {};
  });
}

vnvram_kind vnvram_transaction_write(vnvram_transaction* transaction, const char* blob,
                                     const void* bytes, size_t size, vnvram_error** error) {
  return append_update(transaction, blob, error,
                       [&](Transaction& target, const std::string& name) -> Status {
                         auto copy = copy_bytes(bytes, size);
                         if (!copy) {
                           return copy.error();
                         }
                         target.write(name, std::move(*copy));
                         return {};
                       });
}

vnvram_kind vnvram_transaction_write_range(vnvram_transaction* transaction, const char* blob,
                                           uint64_t offset, const void* bytes, size_t size,
                                           vnvram_error** error) {
  return append_update(transaction, blob, error,
                       [&](Transaction& target, const std::string& name) -> Status {
                         auto copy = copy_bytes(bytes, size);
                         if (!copy) {
                           return copy.error();
                         }
                         target.write_range(name, offset, std::move(*copy));
                         return {};
                       });
}

vnvram_kind vnvram_transaction_zero_range(vnvram_transaction* transaction, const char* blob,
                                          uint64_t offset, uint64_t size, vnvram_error** error) {
  return append_update(transaction, blob, error,
                       [&](Transaction& target, const std::string& name) -> Status {
                         target.zero_range(name, offset, size);
                         return {};
                       });
}

vnvram_kind vnvram_transaction_set_size(vnvram_transaction* transaction, const char* blob,
                                        uint64_t size, vnvram_error** error) {
  return append_update(transaction, blob, error,
                       [&](Transaction& target, const std::string& name) -> Status {
                         target.set_size(name, size);
                         return {};
                       });
}

void vnvram_transaction_free(vnvram_transaction* transaction) {
  const std::unique_ptr<vnvram_transaction> owned(transaction);
}
