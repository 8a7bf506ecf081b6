// The C API, through the shared library as a program would use it.
#include "vnvram/vnvram.h"

#include <poll.h>

#include <cstring>
#include <fstream>
#include <future>
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

TEST_F(CApi, CommitsAllOrNothing) {
  create({spec("a", 100), spec("b", 100)});
  open();
  vnvram_transaction* transaction = begin();
  std::string bytes = "copied";
  ASSERT_EQ(vnvram_transaction_write(transaction, "a", bytes.data(), bytes.size(), nullptr),
            VNVRAM_OK);
  ASSERT_EQ(vnvram_transaction_write_range(transaction, "b", 2, bytes.data(), 3, nullptr),
            VNVRAM_OK);
  ASSERT_EQ(vnvram_transaction_set_size(transaction, "b", 4, nullptr), VNVRAM_OK);
  bytes.assign(6, '!'); // The transaction has its own copy.
  ASSERT_EQ(vnvram_commit(store_, transaction, nullptr), VNVRAM_OK);
  EXPECT_EQ(read("a"), "copied");
  EXPECT_EQ(read("b"), std::string("\0\0co", 4));

  transaction = begin();
  ASSERT_EQ(vnvram_transaction_write(transaction, "a", "x", 1, nullptr), VNVRAM_OK);
  ASSERT_EQ(vnvram_transaction_write(transaction, "none", "x", 1, nullptr), VNVRAM_OK);
  EXPECT_EQ(vnvram_commit(store_, transaction, nullptr), VNVRAM_NOT_FOUND);
  transaction = begin();
  ASSERT_EQ(vnvram_transaction_write(transaction, "a", "x", 1, nullptr), VNVRAM_OK);
  ASSERT_EQ(vnvram_transaction_set_size(transaction, "b", 101, nullptr), VNVRAM_OK);
  EXPECT_EQ(vnvram_commit(store_, transaction, nullptr), VNVRAM_TOO_LARGE);
  EXPECT_EQ(read("a"), "copied");
  vnvram_transaction_free(begin());
}

TEST_F(CApi, ATransactionMayZeroARange) {
  create({spec("a", 10000)});
  open();
  write("a", std::string(9000, 'a'));
  vnvram_transaction* transaction = begin();
  ASSERT_EQ(vnvram_transaction_zero_range(transaction, "a", 10, 9500, nullptr), VNVRAM_OK);
  ASSERT_EQ(vnvram_transaction_write_range(transaction, "a", 20, "b", 1, nullptr), VNVRAM_OK);
  ASSERT_EQ(vnvram_commit(store_, transaction, nullptr), VNVRAM_OK);
  std::string expected(9510, '\0');
  expected.replace(0, 10, 10, 'a');
  expected[20] = 'b';
  EXPECT_EQ(read("a"), expected);
  transaction = begin();
  ASSERT_EQ(vnvram_transaction_zero_range(transaction, "a", 1, ~uint64_t{0}, nullptr), VNVRAM_OK);
  EXPECT_EQ(vnvram_commit(store_, transaction, nullptr), VNVRAM_TOO_LARGE);
  EXPECT_EQ(read("a"), expected);
}

struct Completions {
  std::vector<vnvram_kind> kinds;
  std::promise<void> one;
};

void note_completion(void* opaque, const vnvram_error* error) {
  static_cast<Completions*>(opaque)->kinds.push_back(error == nullptr ? VNVRAM_OK
                                                                      : vnvram_error_kind(error));
}

void fulfil(void* opaque, const vnvram_error* error) {
  note_completion(opaque, error);
  static_cast<Completions*>(opaque)->one.set_value();
}

TEST_F(CApi, CallsBackWhereTheEventDescriptorIsDispatched) {
  create({spec("a", 100)});
  open(VNVRAM_OPEN_EVENT_FD);
  Completions completions;
  for (const char* blob : {"a", "none", "a"}) {
    vnvram_transaction* transaction = begin();
    ASSERT_EQ(vnvram_transaction_write(transaction, blob, blob, 1, nullptr), VNVRAM_OK);
    ASSERT_EQ(vnvram_commit_async(store_, transaction, note_completion, &completions, nullptr),
              VNVRAM_OK);
  }
  pollfd descriptor{vnvram_event_fd(store_), POLLIN, 0};
  ASSERT_GE(descriptor.fd, 0);
  size_t dispatched = 0;
  while (dispatched < 3) {
    ASSERT_EQ(poll(&descriptor, 1, 20000), 1);
    dispatched += vnvram_dispatch(store_);
  }
  EXPECT_EQ(vnvram_dispatch(store_), 0U);
  EXPECT_EQ(poll(&descriptor, 1, 0), 0);
  EXPECT_EQ(completions.kinds, (std::vector<vnvram_kind>{VNVRAM_OK, VNVRAM_NOT_FOUND, VNVRAM_OK}));
}

TEST_F(CApi, CallsBackAtCloseWhatWasNotDispatched) {
  create({spec("a", 100)});
  open(VNVRAM_OPEN_EVENT_FD);
  Completions completions;
  vnvram_transaction* transaction = begin();
  ASSERT_EQ(vnvram_transaction_write(transaction, "a", "x", 1, nullptr), VNVRAM_OK);
  ASSERT_EQ(vnvram_commit_async(store_, transaction, note_completion, &completions, nullptr),
            VNVRAM_OK);
  close();
  EXPECT_EQ(completions.kinds, std::vector<vnvram_kind>{VNVRAM_OK});
}

TEST_F(CApi, CallsBackOnAThreadOfTheStore) {
  create({spec("a", 100)});
  open();
  EXPECT_EQ(vnvram_event_fd(store_), -1);
  Completions completions;
  vnvram_transaction* transaction = begin();
  ASSERT_EQ(vnvram_transaction_write(transaction, "a", "x", 1, nullptr), VNVRAM_OK);
  ASSERT_EQ(vnvram_commit_async(store_, transaction, fulfil, &completions, nullptr), VNVRAM_OK);
  ASSERT_EQ(completions.one.get_future().wait_for(std::chrono::seconds(20)),
            std::future_status::ready);
  EXPECT_EQ(completions.kinds, std::vector<vnvram_kind>{VNVRAM_OK});
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

TEST_F(CApi, RefusesStructuresOfImpossibleSize) {
  create({});
  vnvram_open_options options{};
  vnvram_store* store = nullptr;
  ErrorSlot error;
  EXPECT_EQ(vnvram_open(path_.c_str(), &options, &store, error.out()), VNVRAM_INVALID_ARGUMENT);
  EXPECT_NE(error.text().find("vnvram_open_options"), std::string::npos) << error.text();
  options.struct_size = sizeof options;
  options.flags = 1U << 31U;
  EXPECT_EQ(vnvram_open(path_.c_str(), &options, &store, nullptr), VNVRAM_UNSUPPORTED);
  EXPECT_EQ(store, nullptr);
}

/// vnvram_open_options as it was before deferred writes.
struct EarlierOpenOptions {
  size_t struct_size;
  uint32_t flags;
  uint32_t idle_checkpoint_ms;
  uint64_t cache_size;
  const vnvram_blob_spec* blobs;
  size_t blob_count;
  const char* const* known_attributes;
  size_t known_attribute_count;
  const char* image_key_file;
};
static_assert(sizeof(EarlierOpenOptions) == offsetof(vnvram_open_options, deferral_us));
static_assert(offsetof(EarlierOpenOptions, image_key_file) ==
              offsetof(vnvram_open_options, image_key_file));
static_assert(sizeof(void*) != 8 || sizeof(vnvram_open_options) == 104);

TEST_F(CApi, OpensForAProgramThatWasBuiltWithEarlierHeaders) {
  create({});
  const vnvram_blob_spec blob = spec("a", 100);
  struct {
    EarlierOpenOptions options;
    uint64_t something_else; // Not the library's to read.
  } memory{{}, ~uint64_t{0}};
  memory.options.struct_size = sizeof memory.options;
  memory.options.flags = VNVRAM_OPEN_NO_BACKGROUND;
  memory.options.blobs = &blob;
  memory.options.blob_count = 1;
  const auto* options = reinterpret_cast<const vnvram_open_options*>(&memory.options);
  ErrorSlot error;
  ASSERT_EQ(vnvram_open(path_.c_str(), options, &store_, error.out()), VNVRAM_OK) << error.text();
  write("a", "x");
  write_deferred("a", 1, "y");
  EXPECT_EQ(read("a"), "xy");
  EXPECT_EQ(read_after_a_cut("a"), "x"); // It waits, as by default.
  close();
  for (const size_t wrong : {sizeof memory.options - 1, sizeof memory.options + 1,
                             sizeof(vnvram_open_options) - 1, size_t{8}}) {
    memory.options.struct_size = wrong;
    EXPECT_EQ(vnvram_open(path_.c_str(), options, &store_, nullptr), VNVRAM_INVALID_ARGUMENT);
  }
  memory.options.struct_size = sizeof memory.options;
  memory.options.flags = VNVRAM_OPEN_WITHOUT_SPACE << 1U;
  EXPECT_EQ(vnvram_open(path_.c_str(), options, &store_, nullptr), VNVRAM_UNSUPPORTED);
}

/// As a program sees it that was built with later headers.
template <typename Struct> struct Later {
  Struct known{};
  uint64_t added = 0;
};

TEST_F(CApi, UnderstandsLargerStructuresWhoseNewMembersAreUnused) {
  Later<vnvram_blob_spec> specs[2];
  specs[0].known = spec("a", 100);
  specs[1].known = spec("b", 200);
  specs[0].known.struct_size = specs[1].known.struct_size = sizeof specs[0];
  create({});
  open();
  ASSERT_EQ(vnvram_register(store_, &specs[0].known, 2, nullptr), VNVRAM_OK);
  Later<vnvram_blob_info> info;
  info.known.struct_size = sizeof info;
  info.added = 7;
  ASSERT_EQ(vnvram_blob(store_, "b", &info.known, nullptr), VNVRAM_OK);
  EXPECT_EQ(info.known.size_max, 200U);
  EXPECT_EQ(info.known.struct_size, sizeof info);
  EXPECT_EQ(info.added, 0U);
  specs[1].known = spec("c", 200);
  specs[1].known.struct_size = sizeof specs[1];
  specs[1].added = 1;
  EXPECT_EQ(vnvram_register(store_, &specs[0].known, 2, nullptr), VNVRAM_UNSUPPORTED);
  EXPECT_EQ(vnvram_blob(store_, "c", &info.known, nullptr), VNVRAM_NOT_FOUND);
}

TEST_F(CApi, TakesNullForWhatItIs) {
  ErrorSlot error;
  EXPECT_EQ(vnvram_create(nullptr, nullptr, error.out()), VNVRAM_INVALID_ARGUMENT);
  vnvram_store* none = nullptr;
  EXPECT_EQ(vnvram_write(none, "a", "x", 1, nullptr), VNVRAM_INVALID_ARGUMENT);
  EXPECT_EQ(vnvram_event_fd(none), -1);
  EXPECT_EQ(vnvram_dispatch(none), 0U);
  EXPECT_EQ(vnvram_write_range_deferred(none, "a", 0, "x", 1, nullptr), VNVRAM_INVALID_ARGUMENT);
  EXPECT_EQ(vnvram_zero_range_deferred(none, "a", 0, 1, nullptr), VNVRAM_INVALID_ARGUMENT);
  EXPECT_EQ(vnvram_flush(none, nullptr), VNVRAM_INVALID_ARGUMENT);
  EXPECT_EQ(vnvram_adopt_after_fork(none, nullptr), VNVRAM_INVALID_ARGUMENT);
  EXPECT_EQ(vnvram_transaction_zero_range(nullptr, "a", 0, 1, nullptr), VNVRAM_INVALID_ARGUMENT);
  EXPECT_EQ(vnvram_close(none, nullptr), VNVRAM_OK);
  vnvram_error_free(nullptr);
  vnvram_transaction_free(nullptr);
  vnvram_blob_list_free(nullptr);
  vnvram_report_free(nullptr);
  create({spec("a", 100)});
  open();
  EXPECT_EQ(vnvram_write(store_, nullptr, "x", 1, nullptr), VNVRAM_INVALID_ARGUMENT);
  EXPECT_EQ(vnvram_write(store_, "a", nullptr, 1, nullptr), VNVRAM_INVALID_ARGUMENT);
  EXPECT_EQ(vnvram_write(store_, "a", nullptr, 0, nullptr), VNVRAM_OK);
  EXPECT_EQ(vnvram_write_range_deferred(store_, nullptr, 0, "x", 1, nullptr),
            VNVRAM_INVALID_ARGUMENT);
  EXPECT_EQ(vnvram_write_range_deferred(store_, "a", 0, nullptr, 1, nullptr),
            VNVRAM_INVALID_ARGUMENT);
  EXPECT_EQ(vnvram_zero_range_deferred(store_, nullptr, 0, 1, nullptr), VNVRAM_INVALID_ARGUMENT);
  vnvram_transaction* transaction = begin();
  EXPECT_EQ(vnvram_transaction_zero_range(transaction, nullptr, 0, 1, nullptr),
            VNVRAM_INVALID_ARGUMENT);
  vnvram_transaction_free(transaction);
  EXPECT_EQ(vnvram_commit(store_, nullptr, nullptr), VNVRAM_INVALID_ARGUMENT);
  EXPECT_EQ(vnvram_commit_async(store_, begin(), nullptr, nullptr, nullptr),
            VNVRAM_INVALID_ARGUMENT);
}

} // namespace
} // namespace vnvram::test
