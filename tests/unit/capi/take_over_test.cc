// Taking over an image that its owner has not closed, through the C API.
#include <filesystem>

#include "unit/capi/capi_fixture.h"

namespace vnvram::test {
namespace {

class TakeOverTest : public CApi {
protected:
  /// As its host's death leaves it: the owner's lock is gone.
  void leave_unclosed() {
    create({spec("a", 100)});
    open();
    write("a", "acknowledged");
    const std::string left = path_ + ".left";
    std::filesystem::copy_file(path_, left);
    close();
    std::filesystem::rename(left, path_);
  }
  vnvram_kind try_open(uint32_t flags) {
    vnvram_open_options options{};
    options.struct_size = sizeof options;
    options.flags = flags;
    return vnvram_open(path_.c_str(), &options, &store_, nullptr);
  }
};

TEST_F(TakeOverTest, NeedsAWordWhereNoStorageShutsAnybodyOut) {
  leave_unclosed();
  EXPECT_EQ(try_open(VNVRAM_OPEN_TAKE_OVER), VNVRAM_IN_USE);
  ASSERT_EQ(try_open(VNVRAM_OPEN_TAKE_OVER | VNVRAM_OPEN_OWNER_IS_DEAD), VNVRAM_OK);
  EXPECT_EQ(read("a"), "acknowledged");
  close();
  ASSERT_EQ(try_open(VNVRAM_OPEN_TAKE_OVER), VNVRAM_OK); // Nobody has it any more.
}

TEST_F(TakeOverTest, DoesNotBreakALockThatIsHeld) {
  create({spec("a", 100)});
  open();
  vnvram_store* const owner = store_;
  store_ = nullptr;
  EXPECT_EQ(try_open(VNVRAM_OPEN_TAKE_OVER | VNVRAM_OPEN_OWNER_IS_DEAD), VNVRAM_IN_USE);
  EXPECT_EQ(store_, nullptr);
  store_ = owner;
  write("a", "goes on");
  EXPECT_EQ(read("a"), "goes on");
}

TEST_F(TakeOverTest, RefusesFlagsThatContradictEachOther) {
  create({});
  EXPECT_EQ(try_open(VNVRAM_OPEN_OWNER_IS_DEAD), VNVRAM_INVALID_ARGUMENT);
  EXPECT_EQ(try_open(VNVRAM_OPEN_TAKE_OVER | VNVRAM_OPEN_READ_ONLY), VNVRAM_INVALID_ARGUMENT);
}

} // namespace
} // namespace vnvram::test
