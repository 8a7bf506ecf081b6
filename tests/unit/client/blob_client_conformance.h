// Every implementation of BlobClient, for tests of what all of them promise: one more joins by its
// factory.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "support/expect_status.h"
#include "unit/client/blob_host.h"
#include "unit/store/store_fixture.h"

namespace vnvram::test {

using std::chrono::microseconds;

inline constexpr microseconds not_by_the_clock = std::chrono::hours(1);
inline constexpr auto deadline = std::chrono::seconds(20);
inline constexpr std::uint64_t large_bytes = 64U << 10U;

struct Implementation {
  const char* name;
  MakeBlobHost make;
};

class BlobClientConformance : public ::testing::TestWithParam<Implementation> {
protected:
  void SetUp() override { make(not_by_the_clock); }
  void make(microseconds deferral) {
    client_.reset();
    host_ = GetParam().make({spec("vars", large_bytes), spec("eeprom", 4096)}, deferral);
    client_ = host_->connect();
  }
  Status write(std::string_view blob, std::uint64_t offset_bytes, std::string_view text,
               Durability durability = Durability::on_return) {
    return client_->write(blob, offset_bytes, bytes(text), durability);
  }
  std::uint64_t generation() {
    const auto state = client_->state();
    EXPECT_TRUE(state.ok());
    return state ? state->generation : 0;
  }
  Bytes content(std::string_view blob) {
    auto read = client_->read_all(blob);
    EXPECT_TRUE(read.ok());
    return read ? *std::move(read) : Bytes();
  }

  std::unique_ptr<BlobHost> host_;
  std::unique_ptr<BlobClient> client_;
};

/// For INSTANTIATE_TEST_SUITE_P.
inline auto all_implementations() {
  return ::testing::Values(Implementation{"Local", make_local_blob_host},
                           Implementation{"Remote", make_remote_blob_host},
                           Implementation{"Lasting", make_lasting_blob_host},
                           Implementation{"Memory", make_memory_blob_host});
}
inline std::string implementation_name(const ::testing::TestParamInfo<Implementation>& each) {
  return each.param.name;
}

} // namespace vnvram::test
