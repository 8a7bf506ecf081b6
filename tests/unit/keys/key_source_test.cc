// Where keys come from: the words for it, and what is read there.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "base/unique_fd.h"
#include "keys/key_holder.h"
#include "support/expect_status.h"
#include "unit/keys/key_fixture.h"
#include "vnvram/key_ring.h"

namespace vnvram::test {
namespace {

constexpr std::string_view key_text = "0123456789abcdef0123456789abcdef";

/// What a source opens slots with.
Result<Bytes> secret_of(const KeySource& key, const format::KeySlot& slot = {}) {
  const auto secret = KeyHolder::of(key).secret_for(slot, "image");
  return secret ? Result<Bytes>(Bytes(secret->begin(), secret->end())) : secret.error();
}

std::optional<KeySlotKind> kind_of(const KeySource& key) {
  const auto kind = KeyHolder::of(key).opens();
  EXPECT_TRUE(kind.ok());
  return kind ? *kind : std::nullopt;
}

/// A descriptor from which this can be read, once.
UniqueFd pipe_with(std::string_view text) {
  std::array<int, 2> ends{};
  EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  const UniqueFd writer(ends[1]);
  EXPECT_EQ(::write(writer.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  return UniqueFd(ends[0]);
}

TEST(KeySourceTest, Words) {
  for (const std::string_view text :
       {"file:/k", "file:/k,remove", "passphrase", "passphrase:file:/p",
        "passphrase:file:/p,remove", "public:/k.pem", "exec:clevis decrypt",
        "exec:a,b,public=/p"}) {
    const auto key = KeySource::parse(text);
    ASSERT_OK(key);
    EXPECT_EQ(key->text(), text);
  }
  for (const std::string_view text :
       {"", "file:", "file:,remove", "fd:", "fd:x", "fd:-1", "fd:3x", "fd:99999999999",
        "passphrase:", "passphrase:secret", "passphrase:fd:", "public:", "exec:", "exec:,public=/p",
        "exec:a,public=", "/etc/key", "Passphrase"}) {
    EXPECT_KIND(KeySource::parse(text), invalid_argument);
  }
}

TEST(KeySourceTest, WhatWasGivenByMistakeIsNotSaidAgain) {
  const auto key = KeySource::parse("correct horse battery staple");
  EXPECT_KIND(key, invalid_argument);
  EXPECT_EQ(key.error().text().find("horse"), std::string::npos);
}

TEST(KeySourceTest, AllBytesOfAFile) {
  KeyFiles files;
  const KeySource key = source(files.file("0123456789abcde\n"));
  EXPECT_EQ(kind_of(key), KeySlotKind::key);
  const auto secret = secret_of(key);
  ASSERT_OK(secret);
  EXPECT_EQ(*secret, bytes_of("0123456789abcde\n"));
}

TEST(KeySourceTest, AKeyThatCannotBeOne) {
  KeyFiles files;
  EXPECT_KIND(secret_of(source(files.file(std::string(15, 'k')))), invalid_argument);
  EXPECT_OK(secret_of(source(files.file(std::string(8192, 'k')))));
  EXPECT_KIND(secret_of(source(files.file(std::string(8193, 'k')))), invalid_argument);
  EXPECT_KIND(secret_of(source(files.file("-----BEGIN PRIVATE KEY-----\n"))), invalid_argument);
}

// "absent" is what is said of an image, and makes somebody create one.
TEST(KeySourceTest, AFileThatIsMissingIsNotAnImageThatIs) {
  KeyFiles files;
  EXPECT_KIND(secret_of(source("file:" + files.path("none"))), io);
  EXPECT_KIND(secret_of(source("file:" + files.path("none") + ",remove")), io);
  EXPECT_KIND(secret_of(source("passphrase:file:" + files.path("none"))), io);
}

TEST(KeySourceTest, ADescriptorHasToBeOpenForReading) {
  const UniqueFd readable(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const UniqueFd written(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  for (const std::string_view scheme : {"fd:", "passphrase:fd:"}) {
    const auto parse = [&](int descriptor) {
      return KeySource::parse(std::string(scheme) + std::to_string(descriptor));
    };
    EXPECT_OK(parse(readable.get()));
    EXPECT_KIND(parse(written.get()), invalid_argument);
    EXPECT_KIND(parse(1000000), invalid_argument);
    EXPECT_NE(parse(1000000).error().text().find("descriptor 1000000"), std::string::npos);
  }
}

TEST(KeySourceTest, AFileIsRemovedOnceItWasRead) {
  KeyFiles files;
  const std::string path = files.path("key1");
  const KeySource key = source(files.file(key_text) + ",remove");
  EXPECT_TRUE(std::filesystem::exists(path));
  const KeySource copy = key;
  ASSERT_OK(secret_of(key));
  EXPECT_FALSE(std::filesystem::exists(path));
  const auto again = secret_of(copy);
  ASSERT_OK(again);
  EXPECT_EQ(*again, bytes_of(key_text));
}

TEST(KeySourceTest, ADescriptorIsReadOnce) {
  const UniqueFd pipe = pipe_with(key_text);
  const KeySource key = source("fd:" + std::to_string(pipe.get()));
  for (int time = 0; time < 2; ++time) {
    const auto secret = secret_of(key);
    ASSERT_OK(secret);
    EXPECT_EQ(*secret, bytes_of(key_text));
  }
  EXPECT_NE(::fcntl(pipe.get(), F_GETFD), -1);
}

TEST(KeySourceTest, APassphraseEndsBeforeItsNewline) {
  KeyFiles files;
  for (const auto& [content, passphrase] :
       {std::pair{"open sesame\n", "open sesame"}, std::pair{"open sesame", "open sesame"},
        std::pair{"two\n\n", "two\n"}, std::pair{"x", "x"}}) {
    const KeySource key = source("passphrase:" + files.file(content));
    EXPECT_EQ(kind_of(key), KeySlotKind::passphrase);
    const auto secret = secret_of(key);
    ASSERT_OK(secret);
    EXPECT_EQ(*secret, bytes_of(passphrase));
  }
  const UniqueFd pipe = pipe_with("by pipe\n");
  const auto secret = secret_of(source("passphrase:fd:" + std::to_string(pipe.get())));
  ASSERT_OK(secret);
  EXPECT_EQ(*secret, bytes_of("by pipe"));
  EXPECT_KIND(secret_of(source("passphrase:" + files.file("\n"))), invalid_argument);
  EXPECT_KIND(secret_of(source("passphrase:" + files.file(""))), invalid_argument);
}

TEST(KeySourceTest, APrivateKeyOpensSlotsOfItsPublicOne) {
  KeyFiles files;
  const KeySource key = source(files.private_key());
  EXPECT_EQ(kind_of(key), KeySlotKind::public_key);
  const auto secret = secret_of(key);
  ASSERT_OK(secret);
  EXPECT_EQ(secret->size(), 32U);
  EXPECT_KIND(KeyHolder::of(key).make_new("image"), invalid_argument);
}

TEST(KeySourceTest, APublicKeyOpensNothing) {
  KeyFiles files;
  const KeySource key = source(files.public_key());
  EXPECT_EQ(kind_of(key), std::nullopt);
  const auto made = KeyHolder::of(key).make_new("image");
  ASSERT_OK(made);
  EXPECT_EQ(made->kind, KeySlotKind::public_key);
  EXPECT_NE(made->public_key, AgreementPublicKey{});
  const std::string private_file = files.private_key();
  EXPECT_KIND(KeyHolder::of(source("public:" + private_file.substr(5))).make_new("image"),
              invalid_argument);
}

TEST(KeySourceTest, ACommandMakesTheKeyOfEachPublicPart) {
  KeyFiles files;
  const std::string runs = files.path("runs");
  const KeySource key = source("exec:echo >> " + runs + "; printf 'the key made of '; cat");
  EXPECT_EQ(kind_of(key), KeySlotKind::external);
  format::KeySlot slot;
  for (const std::string_view part : {"one", "other", "one"}) {
    slot.public_part = bytes_of(part);
    const auto secret = secret_of(key, slot);
    ASSERT_OK(secret);
    EXPECT_EQ(*secret, bytes_of("the key made of " + std::string(part)));
  }
  EXPECT_EQ(std::filesystem::file_size(runs), 2U); // The third time it was known.
  EXPECT_KIND(secret_of(source("exec:printf short"), slot), invalid_argument);
  EXPECT_KIND(secret_of(source("exec:exit 7"), slot), io);
}

TEST(KeySourceTest, ACommandThatMayRunNoMoreOpensWhatItHasOpened) {
  const KeySource key = source("exec:printf 'the key made of '; cat");
  format::KeySlot slot;
  slot.public_part = bytes_of("one");
  ASSERT_OK(secret_of(key, slot));
  KeyRing({key}).run_no_more_commands();
  EXPECT_OK(secret_of(key, slot));
  slot.public_part = bytes_of("other");
  EXPECT_KIND(secret_of(key, slot), unsupported);
}

TEST(KeySourceTest, TheCommandOfANewSlotIsGivenItsPublicPart) {
  KeyFiles files;
  const std::string part = files.file("public part").substr(5);
  const KeySource key = source("exec:printf 'made of '; cat,public=" + part);
  const auto made = KeyHolder::of(key).make_new("image");
  ASSERT_OK(made);
  EXPECT_EQ(made->kind, KeySlotKind::external);
  EXPECT_EQ(made->public_part, bytes_of("public part"));
  EXPECT_EQ(Bytes(made->secret.begin(), made->secret.end()), bytes_of("made of public part"));
  const std::string long_part = files.file(std::string(4097, 'p')).substr(5);
  EXPECT_KIND(KeyHolder::of(source("exec:cat,public=" + long_part)).make_new("image"),
              invalid_argument);
}

} // namespace
} // namespace vnvram::test
