// A store that was opened read-only: every call that writes refuses, and nothing is written.
#include <fstream>
#include <iterator>
#include <string>

#include "unit/capi/capi_fixture.h"

namespace vnvram::test {
namespace {

class CApiReadOnly : public CApi {
protected:
  [[nodiscard]] std::string image() const {
    std::ifstream file(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  /// One that would change the blob.
  vnvram_transaction* begin_write() {
    vnvram_transaction* const transaction = begin();
    EXPECT_EQ(vnvram_transaction_write(transaction, "a", "lost", 4, nullptr), VNVRAM_OK);
    return transaction;
  }
  static void take_kind(void* opaque, const vnvram_error* error) {
    *static_cast<vnvram_kind*>(opaque) = vnvram_error_kind(error);
  }
};

TEST_F(CApiReadOnly, EveryCallThatWritesRefuses) {
  create({spec("a", 100)});
  open();
  write("a", "kept");
  close();
  const std::string before = image();
  for (const uint32_t flags : {0U, VNVRAM_OPEN_NO_BACKGROUND, VNVRAM_OPEN_NO_DEFERRAL}) {
    open(VNVRAM_OPEN_READ_ONLY | flags);
    const vnvram_blob_spec other = spec("b", 100);
    vnvram_kind called = VNVRAM_OK;
    EXPECT_EQ(vnvram_register(store_, &other, 1, nullptr), VNVRAM_READ_ONLY);
    EXPECT_EQ(vnvram_remove(store_, "a", nullptr), VNVRAM_READ_ONLY);
    EXPECT_EQ(vnvram_write(store_, "a", "lost", 4, nullptr), VNVRAM_READ_ONLY);
    EXPECT_EQ(vnvram_write_range(store_, "a", 1, "lost", 4, nullptr), VNVRAM_READ_ONLY);
    EXPECT_EQ(vnvram_write_range_deferred(store_, "a", 1, "lost", 4, nullptr), VNVRAM_READ_ONLY);
    EXPECT_EQ(vnvram_zero_range_deferred(store_, "a", 0, 2, nullptr), VNVRAM_READ_ONLY);
    EXPECT_EQ(vnvram_flush(store_, nullptr), VNVRAM_OK) << "nothing waits";
    EXPECT_EQ(vnvram_checkpoint(store_, nullptr), VNVRAM_READ_ONLY);
    EXPECT_EQ(vnvram_adopt_after_fork(store_, nullptr), VNVRAM_READ_ONLY);
    EXPECT_EQ(vnvram_commit(store_, begin_write(), nullptr), VNVRAM_READ_ONLY);
    ASSERT_EQ(vnvram_commit_async(store_, begin_write(), take_kind, &called, nullptr), VNVRAM_OK);
    EXPECT_EQ(read("a"), "kept");
    EXPECT_EQ(vnvram_poison(store_), nullptr) << "a refusal is no failure of the device";
    close(); // Which waits for the callback.
    EXPECT_EQ(called, VNVRAM_READ_ONLY);
    EXPECT_EQ(image(), before);
  }
}

} // namespace
} // namespace vnvram::test
