#include "convert/swtpm_linear_file.h"

#include <vector>

#include <gtest/gtest.h>

#include "convert/swtpm_state_file.h"
#include "support/expect_status.h"
#include "unit/convert/swtpm_samples.h"

namespace vnvram::test {
namespace {

using Bytes = std::vector<std::byte>;

void put_number(Bytes& file, std::size_t place, std::uint32_t value) {
  for (std::size_t at = 0; at < sizeof(value); ++at) {
    file[place + at] = static_cast<std::byte>(value >> (8 * at) & 0xffU);
  }
}

Result<SwtpmLinearFile::Sections> parse(const Bytes& file) {
  const std::size_t header_bytes = std::min(file.size(), SwtpmLinearFile::header_size_bytes);
  return SwtpmLinearFile::parse(std::span(file).first(header_bytes), file.size());
}

SwtpmStateFiles states_of(const Bytes& file) {
  SwtpmStateFiles states;
  const auto sections = parse(file);
  EXPECT_TRUE(sections.ok());
  for (std::size_t index = 0; index < states.size(); ++index) {
    if (const auto& section = sections->at(index)) {
      const auto begin = file.begin() + static_cast<std::ptrdiff_t>(section->offset_bytes);
      states.at(index) = Bytes(begin, begin + static_cast<std::ptrdiff_t>(section->length_bytes));
    }
  }
  return states;
}

constexpr std::size_t first_entry = 12;

TEST(SwtpmLinearFileTest, FindsWhatSwtpmHasMadeAndMakesTheSame) {
  const Bytes file = swtpm_sample("linear.bin");
  const SwtpmStateFiles states = states_of(file);
  ASSERT_TRUE(states[0].has_value());
  EXPECT_FALSE(states[1].has_value());
  EXPECT_FALSE(states[2].has_value());
  ASSERT_OK(SwtpmStateFile::unwrap(*states[0], nullptr));
  EXPECT_EQ(SwtpmLinearFile::compose(states), file);
}

TEST(SwtpmLinearFileTest, HasSectionsOfPowersOfTwo) {
  SwtpmStateFiles states;
  states[0] = Bytes(2048, std::byte{1});
  states[1] = Bytes(2049, std::byte{2});
  states[2] = Bytes(1, std::byte{3});
  const Bytes file = SwtpmLinearFile::compose(states);
  EXPECT_EQ(file.size(), 192 + 2048 + 4096 + 1);
  EXPECT_EQ(states_of(file), states);
}

TEST(SwtpmLinearFileTest, ADeviceGoesOnBehindIt) {
  Bytes device = swtpm_sample("linear.bin");
  const SwtpmStateFiles states = states_of(device);
  device.resize(4U << 20U, std::byte{0x5a});
  EXPECT_EQ(states_of(device), states);
}

TEST(SwtpmLinearFileTest, EveryCutIsRefused) {
  const Bytes file = swtpm_sample("linear.bin");
  const std::size_t end = 192 + swtpm_sample("file_plain.bin").size();
  for (std::size_t size = 0; size < end; ++size) {
    const auto sections =
        parse(Bytes(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(size)));
    ASSERT_FALSE(sections.ok()) << size;
    EXPECT_EQ(sections.error().kind(), size < 8 ? ErrorKind::foreign : ErrorKind::corrupt) << size;
  }
}

TEST(SwtpmLinearFileTest, NoPlaceAndNoLengthIsTrusted) {
  const Bytes file = swtpm_sample("linear.bin");
  for (const std::size_t place : {first_entry, first_entry + 4}) {
    for (const std::uint32_t value : {0xffffffffU, 0x80000000U, 191U + 4096U, 2241U}) {
      Bytes lying = file;
      put_number(lying, place, value);
      EXPECT_KIND(parse(lying), corrupt);
    }
  }
  Bytes lying = file;
  put_number(lying, first_entry, 191); // In the header.
  EXPECT_KIND(parse(lying), corrupt);
  lying = file;
  put_number(lying, first_entry + 8, 100); // A section that is smaller than what is in it.
  EXPECT_KIND(parse(lying), corrupt);
  lying = file;
  lying[10] = std::byte{100}; // A header of another size.
  EXPECT_KIND(parse(lying), corrupt);
}

TEST(SwtpmLinearFileTest, TwoStatesInOnePlaceAreRefused) {
  SwtpmStateFiles states;
  states[0] = states[1] = Bytes(64);
  Bytes file = SwtpmLinearFile::compose(states);
  put_number(file, first_entry + 12, 192 + 63);
  EXPECT_KIND(parse(file), corrupt);
  put_number(file, first_entry + 12, 192 + 64);
  ASSERT_OK(parse(file));
}

TEST(SwtpmLinearFileTest, WhatIsNewerOrNotSwtpmsIsRefused) {
  Bytes newer = swtpm_sample("linear.bin");
  newer[8] = std::byte{2};
  EXPECT_KIND(parse(newer), too_new);
  newer[8] = std::byte{255};
  EXPECT_KIND(parse(newer), too_new);
  Bytes more = swtpm_sample("linear.bin");
  put_number(more, first_entry + 3 * 12, 192);
  EXPECT_KIND(parse(more), too_new);
  EXPECT_KIND(parse(swtpm_sample("file_plain.bin")), foreign);
  EXPECT_KIND(parse(Bytes(4096)), foreign);
}

} // namespace
} // namespace vnvram::test
