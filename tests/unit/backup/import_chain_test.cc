// A full export and its increments, and everything that is not that.
#include "backup/import_chain.h"

#include "backup/export_image.h"
#include "backup/opened_part.h"
#include "backup/store_source.h"
#include "support/temporary_directory.h"
#include "unit/store/store_fixture.h"

namespace vnvram {
namespace {

class ImportChainTest : public StoreFixture {
protected:
  void SetUp() override {
    create({spec("a", 100), spec("b", 5000), spec("never", 10)});
    store_ = open();
    ASSERT_OK(store_->write("a", bytes("a1")));
    ASSERT_OK(store_->write("b", pattern(5000, 1)));
  }

  [[nodiscard]] std::string path(const std::string& name) const { return folder_.path(name); }
  Result<ExportReport> full(const std::string& name) { return make(name, {}); }
  /// Since the export of that name.
  Result<ExportReport> increment(const std::string& name, const std::string& since) {
    const auto before = open_to_copy(path(since), {}, {});
    return make(name, ExportBase{.generation = read_manifest(since, **before)->generation});
  }
  Result<ExportReport> make(const std::string& name, const std::optional<ExportBase>& base) {
    StoreSource source(*store_);
    return export_image(source, "source", base, {.path = path(name)}, {});
  }
  Result<ExportReport> import(const std::vector<std::string>& names) {
    std::vector<std::string> paths;
    for (const std::string& name : names) {
      paths.push_back(path(name));
    }
    return import_chain(paths, {}, {}, {.path = path("out"), .force = true});
  }
  /// The same blobs with the same contents.
  void must_be_equal(const std::string& one, const std::string& other) {
    const auto first = open_to_copy(path(one), {}, {});
    const auto second = open_to_copy(path(other), {}, {});
    ASSERT_OK(first);
    ASSERT_OK(second);
    const auto blobs = (*first)->blobs();
    const auto others = (*second)->blobs();
    ASSERT_EQ(blobs.size(), others.size());
    for (std::size_t index = 0; index < blobs.size(); ++index) {
      EXPECT_EQ(blobs[index].name, others[index].name);
      EXPECT_EQ(blobs[index].type, others[index].type);
      EXPECT_EQ(blobs[index].size_max_bytes, others[index].size_max_bytes);
      EXPECT_EQ(blobs[index].producer, others[index].producer);
      EXPECT_EQ(blobs[index].attributes, others[index].attributes);
      EXPECT_EQ(blobs[index].generation == 0, others[index].generation == 0);
      EXPECT_EQ(*(*first)->read(blobs[index].name), *(*second)->read(blobs[index].name));
    }
  }
  void change(const std::string& name, const std::function<void(Store&)>& how) {
    auto store = Store::open(*open_device(path(name), Access::read_write), {.accept_sealed = true});
    ASSERT_OK(store);
    ASSERT_OK((*store)->unseal());
    how(**store);
    ASSERT_OK((*store)->close());
  }
  void must_be_refused(const Result<ExportReport>& result, ErrorKind kind) {
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(kind_name(result.error().kind()), kind_name(kind)) << result.error().text();
    EXPECT_FALSE(std::filesystem::exists(path("out")));
  }

  test::TemporaryDirectory folder_;
  std::unique_ptr<Store> store_;
};

TEST_F(ImportChainTest, AChainIsWhatAFullExportIs) {
  ASSERT_OK(full("0"));
  ASSERT_OK(store_->write("a", bytes("a2")));
  const auto first = increment("1", "0");
  ASSERT_OK(first);
  EXPECT_EQ(first->written_count, 1U);
  BlobSpec attributed = spec("with", 300);
  attributed.attributes = {{.name = "x", .value = "y", .must_know = true}};
  attributed.producer = "somebody 3";
  ASSERT_OK(store_->register_blobs(std::vector{attributed, spec("b", 9000)}));
  ASSERT_OK(store_->write("with", bytes("content")));
  ASSERT_OK(store_->remove_blob("never"));
  ASSERT_OK(increment("2", "1"));
  ASSERT_OK(store_->remove_blob("a")); // And another one in its place, that was never written.
  ASSERT_OK(store_->register_blobs(std::vector{spec("a", 7)}));
  ASSERT_OK(store_->write("b", {}));
  ASSERT_OK(increment("3", "2"));
  const auto whole = full("whole");
  ASSERT_OK(whole);
  const auto made = import({"0", "1", "2", "3"});
  ASSERT_OK(made);
  EXPECT_EQ(made->manifest.generation, whole->manifest.generation);
  must_be_equal("out", "whole");
  ASSERT_OK(store_->write("b", bytes("on")));
  ASSERT_OK(increment("4", "out")); // It goes on from there.
  ASSERT_OK(full("whole2"));
  ASSERT_OK(import_chain(std::vector{path("out"), path("4")}, {}, {}, {.path = path("out2")}));
  must_be_equal("out2", "whole2");
}

TEST_F(ImportChainTest, AnIncrementAloneStartsNoMachine) {
  ASSERT_OK(full("0"));
  ASSERT_OK(store_->write("a", bytes("a2")));
  ASSERT_OK(increment("1", "0"));
  EXPECT_KIND(Store::open(*open_device(path("1"), Access::read_write), {}), sealed);
  ASSERT_OK(Store::open(*open_device(path("0"), Access::read_write), {}));
}

TEST_F(ImportChainTest, WhatDoesNotBelongTogetherIsRefused) {
  ASSERT_OK(full("0"));
  ASSERT_OK(store_->write("a", bytes("a2")));
  ASSERT_OK(increment("1", "0"));
  ASSERT_OK(store_->write("a", bytes("a3")));
  ASSERT_OK(increment("2", "1"));
  must_be_refused(import({"0", "2"}), ErrorKind::invalid_argument);
  must_be_refused(import({"0", "2", "1"}), ErrorKind::invalid_argument);
  must_be_refused(import({"0", "1", "1"}), ErrorKind::invalid_argument);
  must_be_refused(import({"1", "2"}), ErrorKind::invalid_argument);
  must_be_refused(import({"0", "0"}), ErrorKind::invalid_argument);
  must_be_refused(import({}), ErrorKind::invalid_argument);
  must_be_refused(import({"0", "absent"}), ErrorKind::absent);
  store_.reset();
  SetUp(); // Another image, that has done the same.
  ASSERT_OK(full("other"));
  must_be_refused(import({"other", "1"}), ErrorKind::invalid_argument);
  ASSERT_OK(create_image_file(path("none"), 0, {}));
  must_be_refused(import({"none"}), ErrorKind::invalid_argument);
}

TEST_F(ImportChainTest, AnOlderStateThatWasPutBackIsNoticed) {
  ASSERT_OK(store_->checkpoint());
  const auto older = copy_of_disk();
  ASSERT_OK(store_->write("a", bytes("one way")));
  const auto base = full("0");
  ASSERT_OK(base);
  store_.reset();
  disk_ = older;
  forget_owner();
  store_ = open();
  ASSERT_OK(store_->write("a", bytes("another"))); // Of the same generation and size.
  ASSERT_OK(store_->write("b", bytes("more")));
  const auto there = store_->info().generation;
  ASSERT_GT(there, base->manifest.generation);
  ASSERT_OK(increment("1", "0"));
  must_be_refused(import({"0", "1"}), ErrorKind::corrupt);
  StoreSource source(*store_);
  EXPECT_KIND(export_image(source, "source",
                           ExportBase{.generation = base->manifest.generation,
                                      .uuid = base->manifest.uuid,
                                      .manifest = base->manifest},
                           {.path = path("2")}, {}),
              corrupt);
  EXPECT_FALSE(std::filesystem::exists(path("2")));
}

TEST_F(ImportChainTest, WhatWasChangedSinceIsRefused) {
  const std::vector<std::function<void(Store&)>> changes{
      [](Store& store) { ASSERT_OK(store.write("a", bytes("aX"))); },
      [](Store& store) { ASSERT_OK(store.write("a", bytes("longer"))); },
      [](Store& store) { ASSERT_OK(store.remove_blob("a")); },
      [](Store& store) { ASSERT_OK(store.register_blobs(std::vector{spec("a", 1000)})); },
      [](Store& store) { ASSERT_OK(store.register_blobs(std::vector{spec("more", 10)})); },
      [](Store& store) {
        Bytes text = *store.read("vnvram/export");
        ASSERT_OK(store.write("vnvram/export", std::span(text).first(text.size() / 2)));
      }};
  for (const auto& how : changes) {
    std::filesystem::remove(path("0"));
    ASSERT_OK(full("0"));
    change("0", how);
    must_be_refused(import({"0"}), ErrorKind::corrupt);
  }
  for (const auto& how : changes) {
    std::filesystem::remove(path("0"));
    std::filesystem::remove(path("1"));
    ASSERT_OK(full("0"));
    ASSERT_OK(store_->write("a", bytes("aa")));
    ASSERT_OK(store_->write("a", bytes("a2")));
    ASSERT_OK(increment("1", "0"));
    change("1", how);
    must_be_refused(import({"0", "1"}), ErrorKind::corrupt);
  }
}

} // namespace
} // namespace vnvram
