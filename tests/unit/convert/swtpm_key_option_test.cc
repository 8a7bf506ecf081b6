#include "convert/swtpm_key_option.h"

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/unique_fd.h"
#include "convert/swtpm_state_file.h"
#include "support/expect_status.h"
#include "support/temporary_directory.h"
#include "unit/convert/swtpm_samples.h"

namespace vnvram::test {
namespace {

const std::string digits_128 = "00112233445566778899aabbccddeeff";
const std::string digits_256 = "0123456789abcdef0123456789ABCDEF0123456789abcdef0123456789abcdef";

class SwtpmKeyOptionTest : public testing::Test {
protected:
  std::string file(const std::string& content) {
    const std::string path = directory_.path("key" + std::to_string(++count_));
    std::ofstream(path, std::ios::binary) << content;
    return path;
  }
  static Result<SwtpmKey> read(const std::string& text) {
    const Result<SwtpmKeyOption> option = SwtpmKeyOption::parse(text);
    return option ? option->read() : option.error();
  }
  static std::string key(const std::string& text) {
    const Result<SwtpmKey> read_key = read(text);
    EXPECT_TRUE(read_key.ok()) << text << ": " << read_key.error().text();
    return read_key ? to_hex(read_key->bytes()) : "";
  }

  TemporaryDirectory directory_;
  int count_ = 0;
};

TEST_F(SwtpmKeyOptionTest, ReadsKeysAsSwtpmDoes) {
  const std::string lower_256 = to_hex(from_hex(digits_256));
  EXPECT_EQ(key("file=" + file(digits_128)), digits_128);
  EXPECT_EQ(key("file=" + file("0x" + digits_128 + "\n")), digits_128);
  EXPECT_EQ(key("mode=aes-cbc,format=hex,file=" + file(digits_128 + " and more")), digits_128);
  EXPECT_EQ(key("mode=aes-128-cbc,kdf=sha512,file=" + file(digits_128)), digits_128);
  EXPECT_EQ(key("mode=aes-256-cbc,file=" + file(digits_256)), lower_256);
  const std::string raw = "0123456789abcdef";
  const std::string raw_digits = "30313233343536373839616263646566";
  EXPECT_EQ(key("format=binary,file=" + file(raw)), raw_digits);
  EXPECT_EQ(key("format=binary,mode=aes-256-cbc,file=" + file(raw + raw)), raw_digits + raw_digits);
  // Its own: a short one is taken for AES-128.
  EXPECT_EQ(key("format=binary,mode=aes-256-cbc,file=" + file(raw)), raw_digits);
}

TEST_F(SwtpmKeyOptionTest, APassphraseOpensWhatSwtpmHasMadeWithIt) {
  const std::string path = file("a passphrase\n");
  const auto opens = [](const std::string& text, const std::string& sample) {
    const Result<SwtpmKey> read_key = read(text);
    EXPECT_TRUE(read_key.ok());
    return SwtpmStateFile::unwrap(swtpm_sample(sample), &*read_key).ok();
  };
  EXPECT_TRUE(opens("pwdfile=" + path + ",mode=aes-256-cbc", "file_passphrase_256.bin"));
  EXPECT_TRUE(opens("pwdfile=" + path + ",kdf=pbkdf2,mode=aes-256-cbc", "file_passphrase_256.bin"));
  EXPECT_TRUE(opens("pwdfile=" + path + ",kdf=sha512", "file_passphrase_sha512.bin"));
  EXPECT_FALSE(opens("pwdfile=" + path, "file_passphrase_sha512.bin"));
  EXPECT_FALSE(
      opens("pwdfile=" + file("a passphrase") + ",kdf=sha512", "file_passphrase_sha512.bin"));
}

TEST_F(SwtpmKeyOptionTest, ReadsADescriptor) {
  const UniqueFd keys(::open(file(digits_128).c_str(), O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(key("fd=" + std::to_string(keys.get())), digits_128);
  const UniqueFd words(::open(file("a passphrase\n").c_str(), O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(key("pwdfd=" + std::to_string(words.get()) + ",mode=aes-256-cbc"),
            to_hex(key_of_passphrase().bytes()));
  EXPECT_KIND(read("fd=987654"), io);
}

TEST_F(SwtpmKeyOptionTest, RemovesTheFileOfAKeyIfItIsToldTo) {
  for (const char* word : {"remove", "remove=true", "remove=1"}) {
    const std::string path = file(digits_128);
    EXPECT_EQ(key("file=" + path + "," + word), digits_128);
    EXPECT_FALSE(std::filesystem::exists(path)) << word;
  }
  for (const char* word : {"remove=false", "remove=0"}) {
    const std::string path = file("secret");
    EXPECT_NE(key("pwdfile=" + path + "," + word), "");
    EXPECT_TRUE(std::filesystem::exists(path)) << word;
  }
  const std::string path = file("no key");
  EXPECT_KIND(read("file=" + path + ",remove"), invalid_argument);
  EXPECT_TRUE(std::filesystem::exists(path));
}

TEST_F(SwtpmKeyOptionTest, RefusesWhatIsNoOption) {
  for (const char* text : {"",
                           ",",
                           "file=",
                           "file",
                           "fd=",
                           "fd=x",
                           "fd=-1",
                           "fd=1x",
                           "fd=99999999999",
                           "pwdfd=",
                           "mode=",
                           "mode=aes-cbc",
                           "file=k,mode=aes-192-cbc",
                           "file=k,format=base64",
                           "file=k,remove=maybe",
                           "pwdfile=k,kdf=scrypt",
                           "file=k,pwdfile=k",
                           "file=k,fd=0",
                           "file=k,file=k",
                           "file=k,foo=1",
                           "file=k,mode=aes-cbc,mode=aes-cbc",
                           "file=k,",
                           "file=k,,remove",
                           "/etc/key",
                           "file:k"}) {
    const Result<SwtpmKeyOption> option = SwtpmKeyOption::parse(text);
    EXPECT_EQ(option.ok(), std::string(text) == "file=k,") << text; // swtpm takes that, too.
    if (!option) {
      EXPECT_EQ(option.error().kind(), ErrorKind::invalid_argument) << text;
    }
  }
  // A key that was given in place of its file is not shown to everybody.
  EXPECT_EQ(SwtpmKeyOption::parse(digits_128).error().text().find(digits_128), std::string::npos);
}

TEST_F(SwtpmKeyOptionTest, RefusesWhatIsNoKey) {
  EXPECT_KIND(read("file=" + directory_.path("absent")), io);
  const std::vector<std::string> contents = {"",
                                             "0x",
                                             " " + digits_128,
                                             digits_128.substr(1),
                                             digits_128 + "0",
                                             digits_256,
                                             digits_128.substr(1) + "g"};
  for (const std::string& content : contents) {
    EXPECT_KIND(read("file=" + file(content)), invalid_argument);
  }
  EXPECT_KIND(read("mode=aes-256-cbc,file=" + file(digits_128)), invalid_argument);
  for (const std::size_t size_bytes : {0U, 15U, 17U, 32U}) {
    EXPECT_KIND(read("format=binary,file=" + file(std::string(size_bytes, 'k'))), invalid_argument);
  }
  EXPECT_KIND(read("pwdfile=" + file("")), invalid_argument);
  EXPECT_KIND(read("pwdfile=" + file(std::string(70000, 'p'))), invalid_argument);
}

} // namespace
} // namespace vnvram::test
