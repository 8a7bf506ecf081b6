// An image in a directory of its own, and the short words that the tests of the C API are written
// in.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "support/temporary_directory.h"
#include "vnvram/vnvram.h"

namespace vnvram::test {

/// Receives the `error` argument of a call and frees it.
class ErrorSlot {
public:
  ~ErrorSlot() { vnvram_error_free(error_); }
  ErrorSlot() = default;
  ErrorSlot(const ErrorSlot&) = delete;
  ErrorSlot& operator=(const ErrorSlot&) = delete;
  [[nodiscard]] vnvram_error** out() { return &error_; }
  [[nodiscard]] const vnvram_error* get() const { return error_; }
  [[nodiscard]] std::string text() const {
    return error_ == nullptr ? "" : vnvram_error_text(error_);
  }

private:
  vnvram_error* error_ = nullptr;
};

inline vnvram_blob_spec spec(const char* name, uint64_t size_max, const char* type = "test") {
  vnvram_blob_spec result{};
  result.struct_size = sizeof result;
  result.name = name;
  result.type = type;
  result.size_max = size_max;
  return result;
}

class CApi : public testing::Test {
protected:
  void TearDown() override { close(); }

  void create(std::vector<vnvram_blob_spec> blobs) {
    vnvram_create_options options{};
    options.struct_size = sizeof options;
    options.blobs = blobs.data();
    options.blob_count = blobs.size();
    ErrorSlot error;
    ASSERT_EQ(vnvram_create(path_.c_str(), &options, error.out()), VNVRAM_OK) << error.text();
  }

  void open(uint32_t flags = 0, std::vector<vnvram_blob_spec> blobs = {}) {
    vnvram_open_options options{};
    options.struct_size = sizeof options;
    options.flags = flags;
    options.blobs = blobs.data();
    options.blob_count = blobs.size();
    ErrorSlot error;
    ASSERT_EQ(vnvram_open(path_.c_str(), &options, &store_, error.out()), VNVRAM_OK)
        << error.text();
  }

  void close() {
    ErrorSlot error;
    EXPECT_EQ(vnvram_close(std::exchange(store_, nullptr), error.out()), VNVRAM_OK) << error.text();
  }

  void write(const char* blob, const std::string& bytes) {
    ErrorSlot error;
    ASSERT_EQ(vnvram_write(store_, blob, bytes.data(), bytes.size(), error.out()), VNVRAM_OK)
        << error.text();
  }

  std::string read(const char* blob) {
    void* bytes = nullptr;
    size_t size = 0;
    ErrorSlot error;
    EXPECT_EQ(vnvram_read(store_, blob, &bytes, &size, error.out()), VNVRAM_OK) << error.text();
    EXPECT_NE(bytes, nullptr);
    const std::unique_ptr<void, decltype(&vnvram_free)> owned(bytes, vnvram_free);
    return {static_cast<const char*>(bytes), size};
  }

  void write_deferred(const char* blob, uint64_t offset, const std::string& bytes) {
    ErrorSlot error;
    ASSERT_EQ(
        vnvram_write_range_deferred(store_, blob, offset, bytes.data(), bytes.size(), error.out()),
        VNVRAM_OK)
        << error.text();
  }

  /// What a process finds that opens the image after a power cut now.
  std::string read_after_a_cut(const char* blob) {
    const std::string copy = directory_.path("copy");
    std::filesystem::copy_file(path_, copy, std::filesystem::copy_options::overwrite_existing);
    vnvram_store* store = nullptr;
    EXPECT_EQ(vnvram_open(copy.c_str(), nullptr, &store, nullptr), VNVRAM_OK);
    std::swap(store_, store);
    std::string bytes = read(blob);
    std::swap(store_, store);
    EXPECT_EQ(vnvram_close(store, nullptr), VNVRAM_OK);
    return bytes;
  }

  [[nodiscard]] vnvram_info info() {
    vnvram_info info{};
    info.struct_size = sizeof info;
    EXPECT_EQ(vnvram_store_info(store_, &info, nullptr), VNVRAM_OK);
    return info;
  }

  vnvram_transaction* begin() {
    vnvram_transaction* transaction = nullptr;
    EXPECT_EQ(vnvram_transaction_begin(&transaction, nullptr), VNVRAM_OK);
    return transaction;
  }

  TemporaryDirectory directory_;
  std::string path_ = directory_.path("image");
  vnvram_store* store_ = nullptr;
};

} // namespace vnvram::test
