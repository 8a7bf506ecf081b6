#include "uefi/variable_store_template.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>

#include <gtest/gtest.h>

#include "support/expect_status.h"
#include "unit/uefi/made_volume.h"

namespace vnvram::test {
namespace {

Result<VariableStoreTemplate> parse(Bytes bytes) {
  return VariableStoreTemplate::parse(std::move(bytes), "vars.fd");
}

/// It must be refused with these words, by name, and with a remedy.
void expect_refused(const Bytes& bytes, const std::string& cause, const std::string& remedy,
                    ErrorKind kind = ErrorKind::invalid_argument) {
  const auto parsed = parse(bytes);
  ASSERT_FALSE(parsed.ok()) << cause;
  EXPECT_EQ(kind_name(parsed.error().kind()), kind_name(kind)) << parsed.error().text();
  EXPECT_TRUE(parsed.error().cause().starts_with("vars.fd: ")) << parsed.error().text();
  EXPECT_NE(parsed.error().cause().find(cause), std::string::npos) << parsed.error().text();
  EXPECT_NE(parsed.error().remedy().find(remedy), std::string::npos) << parsed.error().text();
}

Bytes joined(const Bytes& first, const Bytes& second) {
  Bytes bytes(first.size() + second.size());
  std::copy(second.begin(), second.end(), std::copy(first.begin(), first.end(), bytes.begin()));
  return bytes;
}

Bytes changed(const std::function<void(Bytes&)>& change) {
  Bytes bytes = volume();
  change(bytes);
  mend_checksum(bytes);
  return bytes;
}

TEST(VariableStoreTemplate, BlobHasTheTemplatesSizeAndContent) {
  for (const std::size_t size : {std::size_t{131072}, ovmf_4m_bytes, 16 * mib}) {
    const auto parsed = parse(volume(size));
    ASSERT_OK(parsed);
    const NewBlob blob = parsed->blob();
    EXPECT_EQ(blob.spec.name, "uefi.vars");
    EXPECT_EQ(blob.spec.type, "edk2.variables");
    EXPECT_EQ(blob.spec.size_max_bytes, size);
    EXPECT_EQ(blob.content, volume(size));
  }
}

TEST(VariableStoreTemplate, AllOfDebiansAreTaken) {
  const std::filesystem::path folder = "/usr/share/OVMF";
  ASSERT_TRUE(std::filesystem::exists(folder)) << "scripts/install-deps.sh installs ovmf";
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename();
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    Bytes bytes(text.size());
    std::memcpy(bytes.data(), text.data(), text.size());
    if (name.starts_with("OVMF_VARS")) {
      ASSERT_OK(parse(bytes));
      EXPECT_EQ(parse(bytes)->blob().content, bytes);
      ++count;
    } else {
      expect_refused(bytes, "code", "VARS");
    }
  }
  EXPECT_GE(count, 3); // Debian 12 has five.
}

TEST(VariableStoreTemplate, StoresWithoutAuthenticationAreTaken) {
  const std::array<std::uint8_t, 16> plain = {0x16, 0x36, 0xcf, 0xdd, 0x75, 0x32, 0x64, 0x41,
                                              0x98, 0xb6, 0xfe, 0x85, 0x70, 0x7f, 0xfe, 0x7d};
  EXPECT_TRUE(parse(changed([&](Bytes& bytes) { put(bytes, store_type_at, plain); })).ok());
}

TEST(VariableStoreTemplate, WhatIsNoVolumeIsNamed) {
  expect_refused({}, "an empty file", "OVMF_VARS_4M.fd");
  expect_refused(Bytes(1, std::byte{7}), "does not begin with a firmware volume", "OVMF_VARS");
  expect_refused(Bytes(8192, std::byte{7}), "does not begin with a firmware volume", "OVMF_VARS");
  Bytes qcow2(196608);
  std::memcpy(qcow2.data(), "QFI\xfb", 4);
  expect_refused(qcow2, "a qcow2 image", "qemu-img convert -O raw vars.fd");
  for (const std::byte empty : {std::byte{0}, std::byte{0xff}}) {
    expect_refused(Bytes(ovmf_4m_bytes, empty), "nothing but empty flash",
                   "--blob uefi.vars:edk2.variables:SIZE");
    expect_refused(Bytes(16 * mib + 1, empty), "nothing but empty flash", "UEFI VARIABLES");
  }
}

TEST(VariableStoreTemplate, CodeIsToldFromVariables) {
  Bytes code = volume();
  put<std::uint8_t>(code, file_system_at, 0x78);
  mend_checksum(code);
  expect_refused(code, "the firmware's code", "VARS");
  // ARM's code begins with an instruction, and its volume comes later.
  expect_refused(joined(Bytes(4096, std::byte{0xff}), code), "a firmware's code", "VARS");
  // OVMF.fd: variables in front, code behind.
  expect_refused(joined(volume(), code), "code behind variables", "VARS");
}

// As a store lies on a volume that was rounded up. OVMF takes the flash's end for the store's, and
// stores nothing in one that is larger.
TEST(VariableStoreTemplate, PaddingIsCutAndSaid) {
  for (const std::byte padding : {std::byte{0}, std::byte{0xff}}) {
    for (const std::size_t size : {ovmf_4m_bytes + 1, ovmf_4m_bytes + 512, 4 * mib, 17 * mib}) {
      Bytes padded = volume();
      padded.resize(size, padding);
      const auto parsed = parse(padded);
      ASSERT_OK(parsed);
      EXPECT_EQ(parsed->spec().size_max_bytes, ovmf_4m_bytes);
      EXPECT_EQ(parsed->blob().content, volume());
      EXPECT_TRUE(parsed->spec().attributes.empty());
      EXPECT_NE(parsed->note().find("cut to 540672 bytes"), std::string::npos) << parsed->note();
      padded.back() = std::byte{1};
      expect_refused(padded, "something else follows its volume of 540672 bytes", "head -c 540672");
    }
  }
  EXPECT_TRUE(parse(volume())->note().empty());
}

TEST(VariableStoreTemplate, AVolumeIsWholeBlocks) {
  Bytes odd = volume(ovmf_4m_bytes + 512);
  put<std::uint32_t>(odd, block_count_at, 133);
  mend_checksum(odd);
  expect_refused(odd, "541184 bytes, is not a multiple of 4096", "");
}

// The header says how the chip is made, of which the volume is the first part.
TEST(VariableStoreTemplate, BlocksMayBeThoseOfALargerChip) {
  for (const std::uint32_t count : {132U, 133U, 16384U, ~0U}) {
    for (const std::uint32_t length : {4096U, 262144U, ~0U}) {
      EXPECT_TRUE(parse(changed([=](Bytes& bytes) {
                    put(bytes, block_count_at, count);
                    put(bytes, block_length_at, length);
                  })).ok());
    }
  }
}

constexpr std::size_t arm_bytes = 786432;

Bytes arm_volume(std::uint32_t block_count) {
  Bytes bytes = volume(arm_bytes);
  put<std::uint32_t>(bytes, block_count_at, block_count);
  put<std::uint32_t>(bytes, block_length_at, 262144);
  mend_checksum(bytes);
  return bytes;
}

void expect_chip(const Result<VariableStoreTemplate>& parsed, const std::string& size) {
  ASSERT_OK(parsed);
  const BlobSpec spec = parsed->spec();
  EXPECT_EQ(spec.size_max_bytes, arm_bytes);
  ASSERT_EQ(spec.attributes.size(), 1U);
  EXPECT_EQ(spec.attributes[0].name, "flash.chip_size_bytes");
  EXPECT_EQ(spec.attributes[0].value, size);
  EXPECT_FALSE(spec.attributes[0].must_know);
  EXPECT_TRUE(parsed->note().empty()) << parsed->note();
}

// AAVMF_VARS.ms.fd: 64 MiB in 256 blocks, of which 768 KiB are the volume.
TEST(VariableStoreTemplate, AChipIsRememberedNotStored) {
  Bytes padded = arm_volume(256);
  expect_chip(parse(padded), "67108864"); // What `get` gives.
  padded.resize(64 * mib);
  expect_chip(parse(padded), "67108864");
  EXPECT_EQ(parse(padded)->blob().content, arm_volume(256));
  // Built by edk2, where the header has the volume's blocks: the file is as long as the chip.
  Bytes built = arm_volume(3);
  ASSERT_OK(parse(built));
  EXPECT_TRUE(parse(built)->spec().attributes.empty());
  EXPECT_NE(parse(built)->note().find("does not tell the size"), std::string::npos);
  built.resize(32 * mib);
  expect_chip(parse(built), "33554432");
}

TEST(VariableStoreTemplate, EmptyFlashOfAKnownChipIsABlobWithoutContent) {
  for (const std::byte empty : {std::byte{0}, std::byte{0xff}}) {
    const auto arm = parse(Bytes(64 * mib, empty));
    expect_chip(arm, "67108864");
    EXPECT_FALSE(arm->blob().content.has_value());
    expect_chip(parse(Bytes(32 * mib, empty)), "33554432");
  }
}

TEST(VariableStoreTemplate, MoreThanABlobOrAChipHoldsIsRefused) {
  expect_refused(volume(17 * mib), "a volume of 17825792 bytes", "", ErrorKind::too_large);
  Bytes padded = volume();
  padded.resize(256 * mib + 1);
  expect_refused(padded, "more than 268435456 bytes", "", ErrorKind::too_large);
}

TEST(VariableStoreTemplate, EveryFieldCounts) {
  const auto expect_change_refused = [](const std::string& cause,
                                        const std::function<void(Bytes&)>& change) {
    expect_refused(changed(change), cause, "");
  };
  const std::string of_blocks = "the volume does not fit its blocks";
  expect_change_refused("not a volume that firmware takes",
                        [](Bytes& bytes) { put<std::uint8_t>(bytes, zero_vector_at + 15, 1); });
  expect_change_refused("not a volume that firmware takes",
                        [](Bytes& bytes) { put<std::uint8_t>(bytes, revision_at, 1); });
  expect_change_refused("in a volume of 0",
                        [](Bytes& bytes) { put<std::uint64_t>(bytes, volume_length_at, 0); });
  expect_change_refused(of_blocks, [](Bytes& bytes) {
    put<std::uint64_t>(bytes, volume_length_at, ~std::uint64_t{0});
  });
  expect_change_refused(of_blocks,
                        [](Bytes& bytes) { put<std::uint32_t>(bytes, block_count_at, 131); });
  expect_change_refused(of_blocks,
                        [](Bytes& bytes) { put<std::uint32_t>(bytes, block_length_at, 0); });
  expect_change_refused(of_blocks, [](Bytes& bytes) { put<std::uint32_t>(bytes, last_run_at, 1); });
  expect_change_refused(of_blocks,
                        [](Bytes& bytes) { put<std::uint64_t>(bytes, block_count_at, 0); });
  expect_change_refused("holds no variable store",
                        [](Bytes& bytes) { put<std::uint8_t>(bytes, store_type_at, 0); });
  for (const std::uint32_t size : {0U, 27U, 540600U + 1, ~0U}) {
    expect_change_refused("damaged: a variable store of " + std::to_string(size) + " bytes",
                          [=](Bytes& bytes) { put(bytes, store_size_at, size); });
  }
  expect_change_refused("format 0xff, state 0xff",
                        [](Bytes& bytes) { put<std::uint16_t>(bytes, store_format_at, 0xffff); });
  expect_change_refused("format 0x5a, state 0xff",
                        [](Bytes& bytes) { put<std::uint8_t>(bytes, store_state_at, 0xff); });
  Bytes checksum = volume();
  checksum[checksum_at] ^= std::byte{1};
  expect_refused(checksum, "the checksum of the volume's header is wrong", "again");
  for (const unsigned length : {0U, 56U, 63U, 73U, 65535U, 65528U}) {
    Bytes bytes = volume();
    put(bytes, header_length_at, static_cast<std::uint16_t>(length));
    expect_refused(bytes, "damaged", "again");
  }
}

// The whole of a header that is said to be as long as the volume, or longer than the file.
TEST(VariableStoreTemplate, AHeaderThatFillsTheVolumeHasNoStore) {
  Bytes bytes = volume(8192);
  put<std::uint16_t>(bytes, header_length_at, 8192);
  std::fill(bytes.begin() + header_length, bytes.end(), std::byte{0});
  mend_checksum(bytes); // The rest sums up to zero.
  expect_refused(bytes, "does not fit its blocks", "");
  put<std::uint32_t>(bytes, block_count_at, 0);
  put<std::uint32_t>(bytes, block_length_at, 1);
  for (std::size_t offset = last_run_at; offset < 8184; offset += 8) {
    put<std::uint32_t>(bytes, offset + 4, 1);
  }
  put<std::uint32_t>(bytes, last_run_at, 8192);
  std::uint16_t sum = 0;
  put<std::uint16_t>(bytes, checksum_at, 0);
  for (std::size_t offset = 0; offset < 8192; offset += 2) {
    sum = static_cast<std::uint16_t>(sum + get<std::uint16_t>(bytes, offset));
  }
  put<std::uint16_t>(bytes, checksum_at, static_cast<std::uint16_t>(-sum));
  expect_refused(bytes, "holds no variable store", "");
}

TEST(VariableStoreTemplate, CutShortAtAnyByteIsRefused) {
  const Bytes whole = volume(8192);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(
        parse(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size))).ok())
        << size;
  }
  Bytes cut = volume();
  cut.resize(cut.size() - 4096);
  expect_refused(cut, "cut short: a volume of 540672 bytes in a file of 536576", "again");
}

// No change of the headers gets through but of the bytes that mean nothing, and of sizes if the
// store still fits the volume and the volume, of whole blocks, its blocks; with the checksum as it
// was, or made right again.
TEST(VariableStoreTemplate, EveryByteOfTheHeadersIsChecked) {
  const std::size_t size = 8192;
  Bytes bytes = volume(size);
  for (std::size_t offset = 0; offset < store_header_end; ++offset) {
    for (unsigned value = 0; value < 256; ++value) {
      const std::byte before = bytes[offset];
      bytes[offset] = std::byte{static_cast<std::uint8_t>(value)};
      const bool same = bytes[offset] == before;
      const auto store_size = get<std::uint32_t>(bytes, store_size_at);
      const auto length = get<std::uint64_t>(bytes, volume_length_at);
      const std::uint64_t blocks_bytes = std::uint64_t{get<std::uint32_t>(bytes, block_count_at)} *
                                         get<std::uint32_t>(bytes, block_length_at);
      const bool fits = store_size >= 28 && header_length + std::uint64_t{store_size} <= length &&
                        length <= blocks_bytes && length <= size && length % 4096 == 0;
      const bool in_size = (offset >= store_size_at && offset < store_format_at) ||
                           (offset >= volume_length_at && offset < signature_at) ||
                           (offset >= block_count_at && offset < last_run_at);
      const bool harmless =
          offset >= store_reserved_at || (offset >= header_length && in_size && fits);
      EXPECT_EQ(parse(bytes).ok(), same || harmless) << offset << ": " << value;
      const Bytes checksum(bytes.begin() + checksum_at, bytes.begin() + checksum_at + 2);
      mend_checksum(bytes);
      const bool attributes = offset >= signature_at + 4 && offset < header_length_at;
      const bool reserved = offset >= checksum_at && offset < revision_at;
      EXPECT_EQ(parse(bytes).ok(), same || harmless || attributes || reserved || (in_size && fits))
          << offset << ": " << value;
      std::copy(checksum.begin(), checksum.end(), bytes.begin() + checksum_at);
      bytes[offset] = before;
    }
  }
  EXPECT_TRUE(parse(bytes).ok());
}

TEST(VariableStoreTemplate, AStoreThatIsThereKeepsItsSize) {
  const auto parsed = parse(volume());
  ASSERT_OK(parsed);
  BlobInfo there;
  there.type = "edk2.variables";
  there.size_max_bytes = ovmf_4m_bytes;
  ASSERT_OK(check_uefi_blob_there(there, parsed->spec()));
  for (const std::uint64_t size : {std::size_t{131072}, mib}) {
    there.size_max_bytes = size;
    there.generation = 7;
    EXPECT_KIND(check_uefi_blob_there(there, parsed->spec()), exists);
    there.generation = 0;
    EXPECT_KIND(check_uefi_blob_there(there, parsed->spec()), exists);
  }
  there.type = "other"; // Registering says so.
  ASSERT_OK(check_uefi_blob_there(there, parsed->spec()));
}

} // namespace
} // namespace vnvram::test
