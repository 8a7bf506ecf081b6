// One generation of everything: beside whoever writes, and from whoever lies.
#include "backup/capture.h"

#include <atomic>
#include <functional>
#include <thread>

#include "backup/export_image.h"
#include "backup/opened_part.h"
#include "backup/owner_source.h"
#include "unit/serve/served_image.h"

namespace vnvram::test {
namespace {

// What an owner says, with something that happens before, or another word in it.
class MeddledSource final : public BlobSource {
public:
  explicit MeddledSource(OwnerClient& owner) : source_(owner) {}

  Result<Moment> changes(std::uint64_t after, std::uint64_t content_max_bytes) override {
    if (before_changes) {
      before_changes();
    }
    Result<Moment> moment = source_.changes(after, content_max_bytes);
    if (moment && lie && changes_count++ >= lies_from) {
      lie(*moment);
    }
    return moment;
  }
  Status read(const std::string& blob, std::uint64_t offset_bytes,
              std::span<std::byte> bytes) override {
    if (before_read) {
      before_read(blob);
    }
    Status read = source_.read(blob, offset_bytes, bytes);
    if (after_read) {
      after_read(blob);
    }
    return read;
  }
  Status hold() override {
    held = true;
    was_held = true;
    return source_.hold();
  }
  void let_go() override {
    held = false;
    source_.let_go();
  }

  std::function<void()> before_changes;
  std::function<void(const std::string&)> before_read;
  std::function<void(const std::string&)> after_read;
  std::function<void(Moment&)> lie;
  unsigned lies_from = 0;
  unsigned changes_count = 0;
  bool held = false;
  bool was_held = false;

private:
  OwnerSource source_;
};

class CaptureTest : public ServedImage {
protected:
  void SetUp() override {
    disk_size_bytes_ = std::uint64_t{16} << 20U;
    serve({spec("a", 4096), spec("b", 65536), spec("c", std::uint64_t{1} << 20U)});
    owner_ = operators();
  }

  Result<ExportManifest> capture(BlobSource& source, std::optional<std::uint64_t> since = {}) {
    spool_.emplace(*BlobSpool::make(out_.path("x"), false));
    return Capture(source, "owner", since, *spool_, {}).run();
  }
  Result<ExportManifest> capture_lie(std::function<void(Moment&)> lie, unsigned from = 0) {
    MeddledSource source(*owner_);
    source.lie = std::move(lie);
    source.lies_from = from;
    return capture(source);
  }
  Bytes spooled(const std::string& blob) { return *spool_->read(blob); }
  std::uint64_t generation() { return owner_->image()->generation; }

  std::unique_ptr<OwnerClient> owner_;
  TemporaryDirectory out_;
  std::optional<BlobSpool> spool_;
};

TEST_F(CaptureTest, HasAllOfTheImage) {
  const auto writer = client();
  ASSERT_OK(put(*writer, "a", "one"));
  OwnerSource source(*owner_);
  const auto taken = capture(source);
  ASSERT_OK(taken);
  EXPECT_EQ(taken->generation, generation());
  EXPECT_EQ(taken->blobs.size(), 3U);
  EXPECT_EQ(spooled("a"), bytes("one"));
  EXPECT_TRUE(spool_->has("b"));
  EXPECT_FALSE(taken->since);
}

TEST_F(CaptureTest, WhatIsDeferredAndTakenBackIsNoPartOfIt) {
  const auto writer = client();
  ASSERT_OK(put(*writer, "a", "one"));
  MeddledSource source(*owner_);
  // The clock stands still: without anybody's asking both are one commit, which changes nothing.
  source.before_read = [&](const std::string& blob) {
    if (blob == "a") {
      EXPECT_TRUE(writer->write("a", 0, bytes("two"), Durability::deferred).ok());
    }
  };
  source.after_read = [&](const std::string& blob) {
    if (blob == "a") {
      EXPECT_TRUE(writer->write("a", 0, bytes("one"), Durability::deferred).ok());
      source.before_read = {};
      source.after_read = {};
    }
  };
  ASSERT_OK(capture(source));
  EXPECT_EQ(spooled("a"), bytes("one"));
}

TEST_F(CaptureTest, BlobsOfOneTransactionAreOfOneGeneration) {
  const auto writer = client();
  std::atomic<bool> stop = false;
  std::atomic<std::uint64_t> written = 0;
  std::jthread writing([&] {
    for (unsigned number = 0; !stop; ++number) {
      const std::string text = std::to_string(number);
      Transaction transaction;
      for (const char* blob : {"a", "b", "c"}) {
        transaction.write(blob, bytes(text));
      }
      EXPECT_TRUE(writer->commit(transaction).ok());
      ++written;
      written.notify_all();
    }
  });
  written.wait(0);
  OwnerSource source(*owner_);
  for (unsigned round = 0; round < 30; ++round) {
    const auto taken = capture(source);
    EXPECT_TRUE(taken.ok()) << (taken ? "" : taken.error().text());
    if (taken) {
      EXPECT_EQ(spooled("a"), spooled("b"));
      EXPECT_EQ(spooled("a"), spooled("c"));
    }
  }
  stop = true;
}

class CaptureOfMuchTest : public CaptureTest {
protected:
  void SetUp() override {
    disk_size_bytes_ = std::uint64_t{128} << 20U;
    serve({spec("c", size_bytes), spec("d", size_bytes)});
    owner_ = operators();
  }

  static constexpr std::uint64_t size_bytes = std::uint64_t{9}
                                              << 20U; // Two are too large to be a rest.
};

TEST_F(CaptureOfMuchTest, AMomentHasSoMuchAndNoMore) {
  const auto writer = client();
  ASSERT_OK(writer->write("c", 0, pattern(moment_content_max_bytes, 1), Durability::on_return));
  const auto moment = owner_->changes(0, UINT64_MAX);
  ASSERT_OK(moment);
  EXPECT_TRUE(moment->complete);
  EXPECT_EQ(moment->contents.at("c"), pattern(moment_content_max_bytes, 1));
  EXPECT_FALSE(owner_->changes(0, moment_content_max_bytes - 1)->complete);
  ASSERT_OK(put(*writer, "d", "x"));
  const auto more = owner_->changes(0, UINT64_MAX);
  ASSERT_OK(more);
  EXPECT_FALSE(more->complete);
  EXPECT_TRUE(more->contents.empty());
  EXPECT_EQ(more->blobs.size(), 2U);
}

TEST_F(CaptureOfMuchTest, AWriterThatNeverRestsIsMadeToInTheEnd) {
  const auto writer = client();
  unsigned number = 0;
  MeddledSource source(*owner_);
  source.before_changes = [&] {
    for (const char* blob : {"c", "d"}) {
      if (!source.held) { // It would wait.
        ASSERT_OK(writer->write(blob, 0, pattern(size_bytes, ++number), Durability::on_return));
      }
    }
  };
  const auto taken = capture(source);
  ASSERT_OK(taken);
  EXPECT_TRUE(source.was_held);
  EXPECT_EQ(taken->generation, generation());
  EXPECT_EQ(spooled("d"), pattern(size_bytes, number));
  EXPECT_FALSE(owner_->status()->held); // And it goes on.
}

TEST_F(CaptureTest, AHoldOfSomebodyElsesStays) {
  ASSERT_OK(owner_->hold(std::chrono::seconds(60)));
  EXPECT_KIND(owner_->hold_alone(std::chrono::seconds(1)), in_use);
  OwnerSource source(*owner_);
  ASSERT_OK(source.hold());
  ASSERT_OK(capture(source));
  source.let_go();
  EXPECT_TRUE(owner_->status()->held);
  ASSERT_OK(owner_->release());
  const auto own = owner_->hold_alone(std::chrono::seconds(60));
  ASSERT_OK(own);
  ASSERT_OK(owner_->hold(std::chrono::seconds(60))); // Somebody's who comes later.
  EXPECT_FALSE(*owner_->release_own(*own));
  EXPECT_TRUE(owner_->status()->held);
}

TEST_F(CaptureTest, BlobsThatComeAndGoMeanwhile) {
  const auto writer = client();
  ASSERT_OK(put(*writer, "b", "of the first one"));
  MeddledSource source(*owner_);
  bool done = false;
  source.after_read = [&](const std::string&) {
    if (std::exchange(done, true)) {
      return;
    }
    EXPECT_TRUE(owner_->remove("c").ok());
    EXPECT_TRUE(writer->register_blobs(std::vector{spec("new", 10)}).ok());
    EXPECT_TRUE(put(*writer, "new", "content").ok());
  };
  source.before_read = [&](const std::string& blob) {
    if (blob == "b" && !std::exchange(source.held, true)) {
      EXPECT_TRUE(writer
                      ->commit([] {
                        Transaction none;
                        none.set_size("b", 0);
                        return none;
                      }())
                      .ok());
    }
  };
  const auto taken = capture(source);
  ASSERT_OK(taken);
  EXPECT_EQ(taken->find("c"), nullptr);
  EXPECT_FALSE(spool_->has("c"));
  EXPECT_EQ(spooled("new"), bytes("content"));
  EXPECT_EQ(spooled("b"), Bytes());
}

TEST_F(CaptureTest, SinceAGenerationItHasWhatIsNewer) {
  const auto writer = client();
  ASSERT_OK(put(*writer, "a", "one"));
  const std::uint64_t since = generation();
  ASSERT_OK(put(*writer, "b", "two"));
  OwnerSource source(*owner_);
  const auto taken = capture(source, since);
  ASSERT_OK(taken);
  EXPECT_EQ(taken->since, since);
  EXPECT_FALSE(spool_->has("a"));
  EXPECT_FALSE(spool_->has("c"));
  EXPECT_EQ(spooled("b"), bytes("two"));
  EXPECT_EQ(taken->find("a")->digest, digest_of(bytes("one")));
}

TEST_F(CaptureTest, WhatAnOwnerCannotMeanIsRefused) {
  ASSERT_OK(put(*client(), "a", "one"));
  EXPECT_KIND(capture_lie([](Moment& moment) { moment.blobs[0].name = "../../etc/passwd\x1b"; }),
              corrupt);
  EXPECT_KIND(capture_lie([](Moment& moment) { moment.blobs[1].name = "a"; }), corrupt);
  EXPECT_KIND(capture_lie([](Moment& moment) { moment.blobs[0].name = ""; }), corrupt);
  EXPECT_KIND(capture_lie([](Moment& moment) { moment.blobs[0].size_bytes = 1U << 30U; }), corrupt);
  EXPECT_KIND(capture_lie([](Moment& moment) {
                moment.blobs[0].size_bytes = std::uint64_t{1} << 40U;
                moment.blobs[0].size_max_bytes = std::uint64_t{1} << 40U;
              }),
              corrupt);
  EXPECT_KIND(capture_lie([](Moment& moment) { moment.blobs[0].generation = 1U << 30U; }), corrupt);
  EXPECT_KIND(capture_lie([](Moment& moment) { moment.blobs[2].size_bytes = 7; }), corrupt);
  // One that is another one in the second list, and has not changed.
  EXPECT_KIND(capture_lie([](Moment& moment) { moment.blobs[0].size_bytes = 1; }, 1), corrupt);
  EXPECT_KIND(capture_lie([](Moment& moment) { moment.blobs[0].name = "aa"; }, 1), corrupt);
  EXPECT_KIND(capture_lie([](Moment& moment) { moment.state.uuid.fill(std::byte{1}); }, 1), stale);
  EXPECT_KIND(capture_lie([](Moment& moment) { moment.state.generation = 0; }, 1), corrupt);
}

TEST_F(CaptureTest, ContentsThatAreNotThereAreRefused) {
  const auto writer = client();
  ASSERT_OK(put(*writer, "a", "one"));
  for (const auto& lie : std::vector<std::function<void(Moment&)>>{
           [](Moment& moment) { moment.contents.clear(); },
           [](Moment& moment) { moment.contents["a"].resize(70000); }}) {
    MeddledSource source(*owner_);
    source.lies_from = 1;
    source.lie = lie;
    unsigned number = 0;
    source.before_changes = [&] { EXPECT_TRUE(put(*writer, "a", std::to_string(++number)).ok()); };
    EXPECT_KIND(capture(source), corrupt);
  }
}

TEST_F(CaptureTest, NothingIsMadeOfALie) {
  MeddledSource source(*owner_);
  source.lie = [](Moment& moment) { moment.blobs[0].generation = 1U << 30U; };
  EXPECT_KIND(export_image(source, "owner", {}, {.path = out_.path("out")}, {}), corrupt);
  EXPECT_TRUE(std::filesystem::is_empty(std::filesystem::path(out_.path("out")).parent_path()));
}

TEST_F(CaptureTest, ABlobThatHasAManifestsNameOnlyIsNotLeftOut) {
  ASSERT_OK(owner_->register_blobs(std::vector<NewBlob>{{spec("vnvram/export", 10), {}}}));
  OwnerSource source(*owner_);
  EXPECT_KIND(capture(source), type_mismatch);
}

TEST_F(CaptureTest, AnExportIsAnImageAsAnyOther) {
  const auto writer = client();
  ASSERT_OK(put(*writer, "a", "one"));
  ASSERT_OK(put(*writer, "c", "gone"));
  Transaction none;
  none.set_size("c", 0);
  ASSERT_OK(writer->commit(none)); // Written, and empty.
  OwnerSource source(*owner_);
  const auto made = export_image(source, "owner", {}, {.path = out_.path("out")}, {});
  ASSERT_OK(made);
  EXPECT_EQ(made->written_count, 3U);
  EXPECT_EQ(made->written_bytes, 3U);
  auto store = Store::open(*open_device(out_.path("out"), Access::read_write), {});
  ASSERT_OK(store);
  EXPECT_EQ(*(*store)->read("a"), bytes("one"));
  EXPECT_EQ((*store)->blob("b")->generation, 0U);
  EXPECT_NE((*store)->blob("c")->generation, 0U);
  EXPECT_EQ((*store)->blobs().size(), 4U);
  const auto manifest = read_manifest("out", **store);
  ASSERT_OK(manifest);
  EXPECT_EQ(manifest->generation, generation());
  EXPECT_EQ(manifest->uuid, owner_->image()->uuid);
}

TEST_F(CaptureTest, ABaseThatIsNoEarlierStateIsRefused) {
  ASSERT_OK(put(*client(), "a", "one"));
  OwnerSource source(*owner_);
  const ExportTarget target{.path = out_.path("out")};
  EXPECT_KIND(export_image(source, "owner", ExportBase{.generation = generation() + 1}, target, {}),
              invalid_argument);
  Uuid other{};
  EXPECT_KIND(export_image(source, "owner", ExportBase{.generation = 1, .uuid = other}, target, {}),
              invalid_argument);
  EXPECT_TRUE(std::filesystem::is_empty(std::filesystem::path(target.path).parent_path()));
}

TEST_F(CaptureTest, WhatIsAskedOfARunningImage) {
  ASSERT_OK(put(*client(), "a", "one"));
  const auto info = owner_->image();
  ASSERT_OK(info);
  EXPECT_EQ(info->blob_count, 3U);
  EXPECT_FALSE(info->clean);
  EXPECT_EQ(info->format_version, keeper_.info().format_version);
  EXPECT_EQ(info->ring_size_bytes, keeper_.info().ring_size_bytes);
  const auto report = owner_->check();
  ASSERT_OK(report);
  EXPECT_TRUE(report->clean());
  EXPECT_EQ(report->blobs_checked, 3U);
  EXPECT_EQ(report->generation, info->generation);
}

} // namespace
} // namespace vnvram::test
