// Secrets are overwritten before their memory goes to whoever asks for some next.
#include "base/secret_bytes.h"

#include <array>
#include <optional>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "unit/base/watched_memory.h"

namespace vnvram {
namespace {

std::vector<std::byte> some_secret() {
  return std::vector<std::byte>(64, std::byte{0x5a});
}

TEST(SecretBytesTest, WhatIsNoSecretStaysAsItIs) {
  std::optional bytes = some_secret();
  const WatchedMemory memory(*bytes);
  bytes.reset();
  EXPECT_TRUE(memory.was_freed());
  EXPECT_FALSE(memory.was_zero());
}

TEST(SecretBytesTest, OverwritesThemWhenItGoes) {
  std::optional<SecretBytes> secret(some_secret());
  const WatchedMemory memory(secret->get());
  secret.reset();
  EXPECT_TRUE(memory.was_freed());
  EXPECT_TRUE(memory.was_zero());
}

TEST(SecretBytesTest, OverwritesItsCopyOfThem) {
  const std::vector<std::byte> bytes = some_secret();
  std::optional<SecretBytes> secret(std::span<const std::byte>{bytes});
  const WatchedMemory memory(secret->get());
  secret.reset();
  EXPECT_TRUE(memory.was_zero());
  EXPECT_EQ(bytes, some_secret());
}

TEST(SecretBytesTest, OverwritesThemWhenOthersTakeTheirPlace) {
  SecretBytes secret(some_secret());
  const WatchedMemory memory(secret.get());
  secret = SecretBytes(std::vector<std::byte>(8, std::byte{1}));
  EXPECT_TRUE(memory.was_freed());
  EXPECT_TRUE(memory.was_zero());
  EXPECT_EQ(secret.get(), std::vector<std::byte>(8, std::byte{1}));
}

TEST(SecretBytesTest, WhoeverTheyWereMovedToOverwritesThem) {
  SecretBytes first(some_secret());
  const WatchedMemory memory(first.get());
  {
    const SecretBytes second = std::move(first);
    EXPECT_EQ(second.get(), some_secret());
    EXPECT_FALSE(memory.was_freed());
  }
  EXPECT_TRUE(memory.was_freed());
  EXPECT_TRUE(memory.was_zero());
}

TEST(SecretBytesTest, WipesJustWhatItIsTold) {
  std::array<std::byte, 32> bytes{};
  bytes.fill(std::byte{0x5a});
  wipe_memory(std::span(bytes).subspan(4, 20));
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    EXPECT_EQ(bytes.at(at), at < 4 || at >= 24 ? std::byte{0x5a} : std::byte{0}) << at;
  }
  wipe_memory({});
}

} // namespace
} // namespace vnvram
