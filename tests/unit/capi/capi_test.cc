// The C API, through the shared library as a program would use it: images, blobs and what is said
// of them.
#include "vnvram/vnvram.h"

#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "base/exit_code.h"
#include "unit/capi/capi_fixture.h"

namespace vnvram::test {
namespace {

TEST_F(CApi, KindsAreTheExitCodes) {
  EXPECT_EQ(VNVRAM_OK, static_cast<int>(ExitCode::ok));
  EXPECT_EQ(VNVRAM_FAILURE, static_cast<int>(ExitCode::failure));
  EXPECT_EQ(VNVRAM_INVALID_ARGUMENT, static_cast<int>(ExitCode::usage));
  EXPECT_EQ(VNVRAM_ABSENT, static_cast<int>(ExitCode::absent));
  EXPECT_EQ(VNVRAM_BLANK, static_cast<int>(ExitCode::blank));
  EXPECT_EQ(VNVRAM_FOREIGN, static_cast<int>(ExitCode::foreign));
  EXPECT_EQ(VNVRAM_CORRUPT, static_cast<int>(ExitCode::corrupt));
  EXPECT_EQ(VNVRAM_IN_USE, static_cast<int>(ExitCode::in_use));
  EXPECT_EQ(VNVRAM_KEY_NEEDED, static_cast<int>(ExitCode::key_needed));
  EXPECT_EQ(VNVRAM_WRONG_KEY, static_cast<int>(ExitCode::wrong_key));
  EXPECT_EQ(VNVRAM_TOO_NEW, static_cast<int>(ExitCode::too_new));
  EXPECT_EQ(VNVRAM_NO_SPACE, static_cast<int>(ExitCode::no_space));
  EXPECT_EQ(VNVRAM_IO, static_cast<int>(ExitCode::io));
  EXPECT_EQ(VNVRAM_POISONED, static_cast<int>(ExitCode::poisoned));
  EXPECT_EQ(VNVRAM_STALE, static_cast<int>(ExitCode::stale));
  EXPECT_EQ(VNVRAM_READ_ONLY, static_cast<int>(ExitCode::read_only));
  EXPECT_EQ(VNVRAM_NOT_FOUND, static_cast<int>(ExitCode::not_found));
  EXPECT_EQ(VNVRAM_EXISTS, static_cast<int>(ExitCode::exists));
  EXPECT_EQ(VNVRAM_TYPE_MISMATCH, static_cast<int>(ExitCode::type_mismatch));
  EXPECT_EQ(VNVRAM_TOO_LARGE, static_cast<int>(ExitCode::too_large));
  EXPECT_EQ(VNVRAM_UNSUPPORTED, static_cast<int>(ExitCode::unsupported));
  EXPECT_EQ(VNVRAM_SEALED, static_cast<int>(ExitCode::sealed));
  EXPECT_EQ(VNVRAM_NOT_AT_ANCHOR, static_cast<int>(ExitCode::not_at_anchor));
}

TEST_F(CApi, NamesItsKindsAndVersion) {
  EXPECT_STREQ(vnvram_kind_name(VNVRAM_OK), "ok");
  EXPECT_STREQ(vnvram_kind_name(VNVRAM_IN_USE), "in-use");
  EXPECT_STREQ(vnvram_kind_name(VNVRAM_TYPE_MISMATCH), "type-mismatch");
  EXPECT_STREQ(vnvram_kind_name(static_cast<vnvram_kind>(19)), "unknown");
  EXPECT_GT(std::strlen(vnvram_version()), 4U);
}

TEST_F(CApi, TellsHowLargeAnImageMustBe) {
  const vnvram_blob_spec blobs[] = {spec("a", 65536), spec("b", 1 << 20)};
  uint64_t required = 0;
  uint64_t recommended = 0;
  ASSERT_EQ(vnvram_required_size(blobs, 2, 0, &required, nullptr), VNVRAM_OK);
  ASSERT_EQ(vnvram_recommended_size(blobs, 2, 0, &recommended, nullptr), VNVRAM_OK);
  EXPECT_GE(required, 2U * ((1U << 20U) + 65536U));
  EXPECT_GE(recommended, required + (1U << 20U));
  const vnvram_blob_spec impossible = spec("a", (16U << 20U) + 1);
  EXPECT_EQ(vnvram_required_size(&impossible, 1, 0, &required, nullptr), VNVRAM_INVALID_ARGUMENT);
}

TEST_F(CApi, CreatesOnceUnlessForced) {
  create({spec("a", 100)});
  ErrorSlot refused;
  EXPECT_EQ(vnvram_create(path_.c_str(), nullptr, refused.out()), VNVRAM_EXISTS);
  ASSERT_NE(refused.get(), nullptr);
  EXPECT_EQ(vnvram_error_kind(refused.get()), VNVRAM_EXISTS);
  EXPECT_NE(std::string(vnvram_error_cause(refused.get())), "");
  vnvram_create_options options{};
  options.struct_size = sizeof options;
  options.force = 1;
  EXPECT_EQ(vnvram_create(path_.c_str(), &options, nullptr), VNVRAM_OK);
  open(VNVRAM_OPEN_READ_ONLY);
  vnvram_info info{};
  info.struct_size = sizeof info;
  ASSERT_EQ(vnvram_store_info(store_, &info, nullptr), VNVRAM_OK);
  EXPECT_EQ(info.blob_count, 0U);
}

TEST_F(CApi, MakesAndOpensVmImages) {
  vnvram_create_options create{};
  create.struct_size = sizeof create;
  create.image_format = "qcow2";
  ErrorSlot error;
  ASSERT_EQ(vnvram_create(path_.c_str(), &create, error.out()), VNVRAM_OK) << error.text();
  char magic[4] = {};
  std::ifstream(path_).read(magic, sizeof magic);
  EXPECT_EQ(std::memcmp(magic, "QFI\xfb", sizeof magic), 0);
  open(0, {spec("a", 100)});
  write("a", "in a disk");
  EXPECT_EQ(read("a"), "in a disk");
  close();
  EXPECT_EQ(vnvram_resize(path_.c_str(), 6U << 20U, nullptr), VNVRAM_OK);
  vnvram_store* store = nullptr;
  vnvram_open_options options{};
  options.struct_size = sizeof options;
  options.image_key_file = path_.c_str();
  EXPECT_EQ(vnvram_open(path_.c_str(), &options, &store, nullptr), VNVRAM_INVALID_ARGUMENT);
  create.image_format = "no format";
  EXPECT_EQ(vnvram_create(directory_.path("new").c_str(), &create, nullptr),
            VNVRAM_INVALID_ARGUMENT);
  create.image_format = "luks";
  EXPECT_EQ(vnvram_create(directory_.path("new").c_str(), &create, nullptr), VNVRAM_KEY_NEEDED);
}

TEST_F(CApi, TellsOpenResultsApart) {
  vnvram_store* store = nullptr;
  EXPECT_EQ(vnvram_open(path_.c_str(), nullptr, &store, nullptr), VNVRAM_ABSENT);
  ASSERT_EQ(directory_.make_file("image", 1 << 20), path_);
  EXPECT_EQ(vnvram_open(path_.c_str(), nullptr, &store, nullptr), VNVRAM_BLANK);
  std::ofstream(path_) << std::string(1 << 20, 'x');
  EXPECT_EQ(vnvram_open(path_.c_str(), nullptr, &store, nullptr), VNVRAM_FOREIGN);
  EXPECT_EQ(store, nullptr);
}

TEST_F(CApi, KeepsWhatIsWritten) {
  create({spec("a", 10000)});
  open();
  EXPECT_EQ(read("a"), "");
  write("a", "hello");
  ASSERT_EQ(vnvram_write_range(store_, "a", 8, "there", 5, nullptr), VNVRAM_OK);
  close();
  open(VNVRAM_OPEN_READ_ONLY);
  EXPECT_EQ(read("a"), std::string("hello\0\0\0there", 13));
  char part[4] = {'x', 'x', 'x', 'x'};
  ASSERT_EQ(vnvram_read_range(store_, "a", 11, part, sizeof part, nullptr), VNVRAM_OK);
  EXPECT_EQ(std::string(part, 4), std::string("re\0\0", 4));
  EXPECT_EQ(vnvram_read_range(store_, "a", 9999, part, 2, nullptr), VNVRAM_TOO_LARGE);
  EXPECT_EQ(vnvram_write(store_, "a", "x", 1, nullptr), VNVRAM_READ_ONLY);
}

TEST_F(CApi, RegistersAndRemoves) {
  create({});
  open(0, {spec("a", 100)});
  const vnvram_blob_spec more[] = {spec("a", 200), spec("b", 300)};
  ErrorSlot error;
  ASSERT_EQ(vnvram_register(store_, more, 2, error.out()), VNVRAM_OK) << error.text();
  vnvram_blob_info info{};
  info.struct_size = sizeof info;
  ASSERT_EQ(vnvram_blob(store_, "a", &info, nullptr), VNVRAM_OK);
  EXPECT_STREQ(info.name, "a");
  EXPECT_STREQ(info.type, "test");
  EXPECT_EQ(info.size_max, 200U);
  EXPECT_EQ(info.size, 0U);
  EXPECT_EQ(info.generation, 0U);
  const vnvram_blob_spec other = spec("b", 300, "other");
  EXPECT_EQ(vnvram_register(store_, &other, 1, nullptr), VNVRAM_TYPE_MISMATCH);
  ASSERT_EQ(vnvram_remove(store_, "b", nullptr), VNVRAM_OK);
  EXPECT_EQ(vnvram_blob(store_, "b", &info, nullptr), VNVRAM_NOT_FOUND);
  EXPECT_EQ(vnvram_remove(store_, "b", nullptr), VNVRAM_NOT_FOUND);
}

TEST_F(CApi, ListsBlobsWithTheirAttributes) {
  vnvram_attribute attribute{};
  attribute.struct_size = sizeof attribute;
  attribute.name = "layout";
  attribute.value = "v\0002";
  attribute.value_size = 3;
  attribute.must_know = 1;
  vnvram_blob_spec with_attribute = spec("b", 100);
  with_attribute.producer = "capi_test";
  with_attribute.attributes = &attribute;
  with_attribute.attribute_count = 1;
  create({spec("c", 100), with_attribute});
  open();
  vnvram_blob_list* list = nullptr;
  ASSERT_EQ(vnvram_list(store_, &list, nullptr), VNVRAM_OK);
  const std::unique_ptr<vnvram_blob_list, decltype(&vnvram_blob_list_free)> owned(
      list, vnvram_blob_list_free);
  ASSERT_EQ(vnvram_blob_list_count(list), 2U);
  vnvram_blob_info info{};
  info.struct_size = sizeof info;
  ASSERT_EQ(vnvram_blob_list_get(list, 0, &info, nullptr), VNVRAM_OK);
  EXPECT_STREQ(info.name, "b");
  ASSERT_EQ(info.attribute_count, 1U);
  vnvram_attribute found{};
  found.struct_size = sizeof found;
  ASSERT_EQ(vnvram_blob_list_attribute(list, 0, 0, &found, nullptr), VNVRAM_OK);
  EXPECT_STREQ(found.name, "layout");
  EXPECT_EQ(std::string(static_cast<const char*>(found.value), found.value_size),
            std::string("v\0002", 3));
  EXPECT_EQ(found.must_know, 1);
  EXPECT_EQ(vnvram_blob_list_attribute(list, 0, 1, &found, nullptr), VNVRAM_NOT_FOUND);
  EXPECT_EQ(vnvram_blob_list_get(list, 2, &info, nullptr), VNVRAM_NOT_FOUND);

  void* bytes = nullptr;
  size_t size = 0;
  EXPECT_EQ(vnvram_read(store_, "b", &bytes, &size, nullptr), VNVRAM_TOO_NEW);
  close();
  const char* known[] = {"layout"};
  vnvram_open_options options{};
  options.struct_size = sizeof options;
  options.known_attributes = known;
  options.known_attribute_count = 1;
  ASSERT_EQ(vnvram_open(path_.c_str(), &options, &store_, nullptr), VNVRAM_OK);
  EXPECT_EQ(read("b"), "");
}

TEST_F(CApi, RefusesASecondOwnerAndLetsReadersIn) {
  create({spec("a", 100)});
  open();
  write("a", "x");
  vnvram_store* second = nullptr;
  ErrorSlot error;
  EXPECT_EQ(vnvram_open(path_.c_str(), nullptr, &second, error.out()), VNVRAM_IN_USE);
  EXPECT_EQ(second, nullptr);
  vnvram_open_options options{};
  options.struct_size = sizeof options;
  options.flags = VNVRAM_OPEN_READ_ONLY;
  ASSERT_EQ(vnvram_open(path_.c_str(), &options, &second, nullptr), VNVRAM_OK);
  EXPECT_EQ(vnvram_close(second, nullptr), VNVRAM_OK);
}

TEST_F(CApi, ReportsWhatAnImageSays) {
  create({spec("a", 100)});
  open();
  write("a", "x");
  EXPECT_EQ(vnvram_checkpoint(store_, nullptr), VNVRAM_OK);
  vnvram_info info{};
  info.struct_size = sizeof info;
  ASSERT_EQ(vnvram_store_info(store_, &info, nullptr), VNVRAM_OK);
  EXPECT_EQ(info.blob_count, 1U);
  EXPECT_EQ(info.format_version, 1U);
  EXPECT_GE(info.generation, 2U);
  EXPECT_EQ(info.ring_used, 0U);
  EXPECT_GE(info.image_size, 4U << 20U);
  EXPECT_EQ(info.owner_pid, static_cast<uint32_t>(getpid()));
  EXPECT_EQ(info.clean, 0);
  EXPECT_EQ(info.poisoned, 0);
  EXPECT_EQ(vnvram_poison(store_), nullptr);
}

TEST_F(CApi, ChecksImages) {
  create({spec("victim", 100000)});
  open();
  write("victim", std::string(100000, 'v'));
  close();
  vnvram_report* report = nullptr;
  ASSERT_EQ(vnvram_check(path_.c_str(), nullptr, nullptr, &report, nullptr), VNVRAM_OK);
  EXPECT_EQ(vnvram_report_problem_count(report), 0U);
  EXPECT_GE(vnvram_report_generation(report), 2U);
  vnvram_report_free(report);

  std::string content;
  {
    std::ifstream file(path_, std::ios::binary);
    content.assign(std::istreambuf_iterator<char>(file), {});
  }
  // Every block full of the blob's bytes: one of them is the current one.
  for (size_t at = 0; at + 4096 <= content.size(); at += 4096) {
    if (content.compare(at, 4096, std::string(4096, 'v')) == 0) {
      content[at + 7] = 'w';
    }
  }
  std::ofstream(path_, std::ios::binary) << content;
  ASSERT_EQ(vnvram_check(path_.c_str(), nullptr, nullptr, &report, nullptr), VNVRAM_OK);
  bool hit = false;
  for (size_t i = 0; i < vnvram_report_problem_count(report); ++i) {
    vnvram_problem problem{};
    problem.struct_size = sizeof problem;
    ASSERT_EQ(vnvram_report_problem(report, i, &problem, nullptr), VNVRAM_OK);
    EXPECT_NE(std::string(problem.place), "");
    for (size_t blob = 0; blob < problem.blob_count; ++blob) {
      hit = hit || (problem.data_lost != 0 && std::string(problem.blobs[blob]) == "victim");
    }
  }
  EXPECT_TRUE(hit);
  vnvram_report_free(report);
  EXPECT_EQ(vnvram_check((path_ + "-none").c_str(), nullptr, nullptr, &report, nullptr),
            VNVRAM_ABSENT);
}

TEST_F(CApi, GrowsImages) {
  create({});
  ASSERT_EQ(vnvram_resize(path_.c_str(), 8U << 20U, nullptr), VNVRAM_OK);
  EXPECT_EQ(vnvram_resize(path_.c_str(), 4U << 20U, nullptr), VNVRAM_INVALID_ARGUMENT);
  open(VNVRAM_OPEN_READ_ONLY);
  vnvram_info info{};
  info.struct_size = sizeof info;
  ASSERT_EQ(vnvram_store_info(store_, &info, nullptr), VNVRAM_OK);
  EXPECT_EQ(info.image_size, 8U << 20U);
}

TEST_F(CApi, ImagesGrowByThemselves) {
  create({});
  const std::vector<vnvram_blob_spec> blobs = {spec("b", 800000), spec("c", 800000)};
  vnvram_open_options options{};
  options.struct_size = offsetof(vnvram_open_options, grow_max);
  options.blobs = blobs.data();
  options.blob_count = blobs.size();
  options.grow_max = 8U << 20U; // Which a caller does not know who has so short a structure.
  EXPECT_EQ(vnvram_open(path_.c_str(), &options, &store_, nullptr), VNVRAM_NO_SPACE);
  options.struct_size = sizeof options;
  ASSERT_EQ(vnvram_open(path_.c_str(), &options, &store_, nullptr), VNVRAM_OK);
  vnvram_info info{};
  info.struct_size = sizeof info;
  ASSERT_EQ(vnvram_store_info(store_, &info, nullptr), VNVRAM_OK);
  EXPECT_GT(info.image_size, 4U << 20U);
  EXPECT_LE(info.image_size, 8U << 20U);
}

} // namespace
} // namespace vnvram::test
