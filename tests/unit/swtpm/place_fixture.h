// A folder with files in it that swtpm, or somebody else, has left there.
#pragma once

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "service/log.h"
#include "support/temporary_directory.h"
#include "swtpm/taken_over_states.h"

namespace vnvram::test {

class PlaceTest : public testing::Test {
protected:
  using Bytes = std::vector<std::byte>;

  [[nodiscard]] std::string path(const std::string& name) const { return directory_.path(name); }
  static void put(const std::string& path, std::span<const std::byte> bytes) {
    std::ofstream file(path, std::ios::binary);
    file.write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
    ASSERT_TRUE(file.flush()) << path;
  }
  static Bytes get(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    EXPECT_TRUE(file) << path;
    const std::string text((std::istreambuf_iterator<char>(file)), {});
    const auto bytes = std::as_bytes(std::span(text));
    return {bytes.begin(), bytes.end()};
  }
  /// Of a plain TPM 2.0, of which libtpms takes every state.
  [[nodiscard]] PlaceSetup setup() const {
    return {.recipe = TpmImageRecipe(TpmVersion::tpm2_0, std::nullopt),
            .key = nullptr,
            .check_states = [](const TpmStates&) { return Status(); },
            .log = log_};
  }

  const TemporaryDirectory directory_;
  const Log log_{LogTarget(), LogLevel::error};
};

} // namespace vnvram::test
