// CapiSession: what is done with its image as a whole, beside the open store or without one.
#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include "fuzz/c_specs.h"
#include "fuzz/capi_session.h"
#include "fuzz/require.h"

namespace vnvram::fuzz {
namespace {

constexpr std::uint64_t image_size = std::uint64_t{320} << 10U;
constexpr std::uint64_t ring_size = std::uint64_t{64} << 10U;

} // namespace

void CapiSession::create(const std::vector<ModelSpec>& specs) {
  const CSpecs given(specs);
  vnvram_create_options options{};
  options.struct_size = sizeof options;
  options.image_size = image_size;
  options.ring_size = ring_size;
  options.blobs = given.data();
  options.blob_count = given.size();
  options.force = 1;
  Kinds allowed = CapiModel(blob_size_max).can_register(specs, 0);
  if (allowed.contains(VNVRAM_TOO_LARGE)) {
    allowed.insert(VNVRAM_INVALID_ARGUMENT); // "a ring too small for them"
  }
  if (mode_ == Mode::read_write) {
    allowed.insert(VNVRAM_IN_USE);
    allowed.erase(VNVRAM_OK);
  }
  ErrorSlot error;
  if (error.judge(vnvram_create(path_.c_str(), &options, error.out()), allowed, "vnvram_create")) {
    model_ = CapiModel(blob_size_max);
    model_.register_blobs(specs);
  }
}

void CapiSession::try_create(FuzzInput& input) {
  if (input.below(2) == 0) {
    vnvram_create_options options{};
    options.struct_size = sizeof options;
    ErrorSlot error;
    error.judge(vnvram_create(path_.c_str(), &options, error.out()),
                {VNVRAM_EXISTS, may_write() ? VNVRAM_IN_USE : VNVRAM_EXISTS}, "vnvram_create");
  } else if (mode_ != Mode::read_only) { // Its reader would go on with the file that was there.
    create(specs(input));
  }
}

std::string CapiSession::file_content() const {
  std::ifstream file(path_, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

/// As after a power cut that spared everything: what is acknowledged is there.
void CapiSession::compare_with_a_copy() {
  flush();
  const std::string copy = ImageFolder::get().copy_of(path_);
  vnvram_open_options options{};
  options.struct_size = sizeof options;
  options.flags = VNVRAM_OPEN_READ_ONLY;
  const char* known = model_attribute;
  options.known_attributes = &known;
  options.known_attribute_count = 1;
  vnvram_store* store = nullptr;
  ErrorSlot error;
  error.judge(vnvram_open(copy.c_str(), &options, &store, error.out()), {VNVRAM_OK},
              "vnvram_open of a copy");
  for (const auto& [name, blob] : model_.blobs()) {
    compare_blob(store, name, true);
  }
  require(vnvram_close(store, nullptr) == VNVRAM_OK, "the copy closes");
}

void CapiSession::check_image() {
  flush();
  vnvram_report* report = nullptr;
  ErrorSlot error;
  error.judge(vnvram_check(path_.c_str(), nullptr, nullptr, &report, error.out()), {VNVRAM_OK},
              "vnvram_check");
  const std::unique_ptr<vnvram_report, decltype(&vnvram_report_free)> owned(report,
                                                                            vnvram_report_free);
  require(vnvram_report_problem_count(report) == 0, "an image that nothing happened to is whole");
}

void CapiSession::resize(FuzzInput& input) {
  if (mode_ == Mode::read_only) {
    return;
  }
  const std::uint64_t size = std::uint64_t{input.byte()} << 13U;
  Kinds allowed = {VNVRAM_OK, VNVRAM_INVALID_ARGUMENT};
  if (mode_ == Mode::read_write) {
    allowed = {VNVRAM_IN_USE, VNVRAM_INVALID_ARGUMENT};
  }
  ErrorSlot error;
  error.judge(vnvram_resize(path_.c_str(), size, error.out()), allowed, "vnvram_resize");
}

void CapiSession::open_beside(FuzzInput& input) {
  vnvram_open_options options{};
  options.struct_size = sizeof options;
  const bool read_only = input.below(2) == 0;
  options.flags = read_only ? VNVRAM_OPEN_READ_ONLY : 0;
  if (mode_ == Mode::closed || (mode_ == Mode::read_only && !read_only)) {
    return;
  }
  flush();
  vnvram_store* store = nullptr;
  ErrorSlot error;
  if (error.judge(vnvram_open(path_.c_str(), &options, &store, error.out()),
                  {read_only ? VNVRAM_OK : VNVRAM_IN_USE}, "vnvram_open beside an owner")) {
    compare_blob(store, name(input), false);
    require(vnvram_close(store, nullptr) == VNVRAM_OK, "a reader closes");
  }
}

} // namespace vnvram::fuzz
