// Deferred writes through the C API.
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "unit/capi/capi_fixture.h"

namespace vnvram::test {
namespace {

class CApiDeferred : public CApi {
protected:
  void open_with_deferral(uint64_t deferral_us, uint32_t flags = 0) {
    vnvram_open_options options{};
    options.struct_size = sizeof options;
    options.flags = flags;
    options.deferral_us = deferral_us;
    ASSERT_EQ(vnvram_open(path_.c_str(), &options, &store_, nullptr), VNVRAM_OK);
  }
};

TEST_F(CApiDeferred, WritesAreSeenAtOnceAndDurableAfterAFlush) {
  create({spec("a", 10000)});
  open(VNVRAM_OPEN_NO_BACKGROUND);
  write("a", "durable");
  const uint64_t generation = info().generation;
  write_deferred("a", 3, "waits on");
  ASSERT_EQ(vnvram_zero_range_deferred(store_, "a", 4, 2, nullptr), VNVRAM_OK);
  const std::string expected("durw\0\0ts on", 11);
  EXPECT_EQ(read("a"), expected);
  vnvram_blob_info blob{};
  blob.struct_size = sizeof blob;
  ASSERT_EQ(vnvram_blob(store_, "a", &blob, nullptr), VNVRAM_OK);
  EXPECT_EQ(blob.size, expected.size());
  EXPECT_EQ(info().generation, generation);
  EXPECT_EQ(read_after_a_cut("a"), "durable");
  ASSERT_EQ(vnvram_flush(store_, nullptr), VNVRAM_OK);
  EXPECT_EQ(info().generation, generation + 1);
  EXPECT_EQ(read_after_a_cut("a"), expected);
  ASSERT_EQ(vnvram_flush(store_, nullptr), VNVRAM_OK); // Nothing waits.
  EXPECT_EQ(info().generation, generation + 1);
}

TEST_F(CApiDeferred, WritesAreDurableAfterClose) {
  create({spec("a", 10000)});
  open();
  write_deferred("a", 5000, "end");
  close();
  open(VNVRAM_OPEN_READ_ONLY);
  EXPECT_EQ(read("a"), std::string(5000, '\0') + "end");
}

TEST_F(CApiDeferred, ACommitComesAfterWhatWasDeferredBeforeIt) {
  create({spec("a", 100), spec("b", 100)});
  open(VNVRAM_OPEN_NO_BACKGROUND);
  const uint64_t generation = info().generation;
  write_deferred("a", 0, "1111");
  write_deferred("b", 0, "bb");
  ASSERT_EQ(vnvram_write_range(store_, "a", 1, "22", 2, nullptr), VNVRAM_OK);
  EXPECT_EQ(info().generation, generation + 1); // One record.
  write_deferred("a", 2, "3");
  EXPECT_EQ(read("a"), "1231");
  EXPECT_EQ(read_after_a_cut("a"), "1221");
  EXPECT_EQ(read_after_a_cut("b"), "bb");
}

TEST_F(CApiDeferred, WritesAreCommittedWhenTheirTimeIsUp) {
  create({spec("a", 100)});
  open_with_deferral(1000);
  const uint64_t generation = info().generation;
  write_deferred("a", 0, "by itself");
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (info().generation == generation) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline);
    std::this_thread::yield();
  }
  EXPECT_EQ(read_after_a_cut("a"), "by itself");
}

TEST_F(CApiDeferred, WithoutADeferralEachWriteIsDurableOnReturn) {
  create({spec("a", 100)});
  open_with_deferral(1000, VNVRAM_OPEN_NO_DEFERRAL); // The flag counts.
  const uint64_t generation = info().generation;
  write_deferred("a", 0, "at once");
  EXPECT_EQ(info().generation, generation + 1);
  EXPECT_EQ(read_after_a_cut("a"), "at once");
  ASSERT_EQ(vnvram_zero_range_deferred(store_, "a", 1, 1, nullptr), VNVRAM_OK);
  EXPECT_EQ(read_after_a_cut("a"), std::string("a\0 once", 7));
}

TEST_F(CApiDeferred, ADeferralIsAnHourAtMost) {
  constexpr uint64_t hour_us = uint64_t{3600} * 1000 * 1000;
  create({spec("a", 100)});
  open_with_deferral(hour_us);
  write_deferred("a", 0, "x");
  EXPECT_EQ(read_after_a_cut("a"), "");
  close();
  vnvram_open_options options{};
  options.struct_size = sizeof options;
  ErrorSlot error;
  for (const uint64_t too_long : {hour_us + 1, ~uint64_t{0}}) {
    options.deferral_us = too_long;
    EXPECT_EQ(vnvram_open(path_.c_str(), &options, &store_, error.out()), VNVRAM_INVALID_ARGUMENT);
    EXPECT_NE(error.text().find("deferral_us"), std::string::npos) << error.text();
    vnvram_error_free(std::exchange(*error.out(), nullptr));
  }
}

TEST_F(CApiDeferred, WritesKeepToTheirBlob) {
  create({spec("a", 100)});
  for (const uint32_t flags : {0U, VNVRAM_OPEN_NO_DEFERRAL}) {
    open(flags);
    for (const uint64_t offset : {uint64_t{100}, uint64_t{101}, ~uint64_t{0}}) {
      EXPECT_EQ(vnvram_write_range_deferred(store_, "a", offset, "x", 1, nullptr),
                VNVRAM_TOO_LARGE);
      EXPECT_EQ(vnvram_zero_range_deferred(store_, "a", offset, 1, nullptr), VNVRAM_TOO_LARGE);
    }
    EXPECT_EQ(vnvram_zero_range_deferred(store_, "a", 1, ~uint64_t{0}, nullptr), VNVRAM_TOO_LARGE);
    ErrorSlot error;
    EXPECT_EQ(vnvram_write_range_deferred(store_, "b", 0, "x", 1, error.out()), VNVRAM_NOT_FOUND);
    EXPECT_NE(error.text(), "");
    EXPECT_EQ(vnvram_zero_range_deferred(store_, "b", 0, 1, nullptr), VNVRAM_NOT_FOUND);
    // Of no bytes they change nothing.
    ASSERT_EQ(vnvram_write_range_deferred(store_, "a", 50, nullptr, 0, nullptr), VNVRAM_OK);
    ASSERT_EQ(vnvram_zero_range_deferred(store_, "a", 50, 0, nullptr), VNVRAM_OK);
    ASSERT_EQ(vnvram_flush(store_, nullptr), VNVRAM_OK);
    EXPECT_EQ(read("a"), "");
    close();
  }
}

// As a daemon does: what opens the image starts the process that goes on with it, and ends.
void own_after_fork(const std::string& path, int result_fd) {
  vnvram_store* store = nullptr;
  vnvram_open_options options = {};
  options.struct_size = sizeof options;
  options.flags = VNVRAM_OPEN_THREADS_LATE;
  if (vnvram_open(path.c_str(), &options, &store, nullptr) != VNVRAM_OK || fork() != 0) {
    return;
  }
  const bool done = vnvram_adopt_after_fork(store, nullptr) == VNVRAM_OK &&
                    vnvram_write_range_deferred(store, "a", 0, "child", 5, nullptr) == VNVRAM_OK &&
                    vnvram_flush(store, nullptr) == VNVRAM_OK;
  const uint32_t owner = done ? static_cast<uint32_t>(getpid()) : 0;
  if (::write(result_fd, &owner, sizeof owner) != sizeof owner) {
    _exit(1);
  }
}

TEST_F(CApiDeferred, AStoreCanBeTakenAcrossAFork) {
  create({spec("a", 100)});
  int ends[2] = {};
  ASSERT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    own_after_fork(path_, ends[1]);
    _exit(0);
  }
  ::close(ends[1]);
  uint32_t owner = 0;
  EXPECT_EQ(::read(ends[0], &owner, sizeof owner), ssize_t{sizeof owner});
  char end = 0;
  EXPECT_EQ(::read(ends[0], &end, 1), 0); // Both have ended.
  ::close(ends[0]);
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  EXPECT_NE(owner, 0U);
  EXPECT_NE(owner, static_cast<uint32_t>(child));
  open(VNVRAM_OPEN_READ_ONLY);
  EXPECT_EQ(info().owner_pid, owner);
  EXPECT_EQ(read("a"), "child");
}

} // namespace
} // namespace vnvram::test
