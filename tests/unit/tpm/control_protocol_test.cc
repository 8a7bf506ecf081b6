#include "tpm/control_protocol.h"

#include <gtest/gtest.h>

#include "support/bytes.h"

namespace vnvram::test {
namespace {

ControlParse parse(std::string_view hex, ControlRequest& request) {
  return parse_control_request(from_hex(hex), request);
}

TEST(ControlProtocol, ReadsEachHead) {
  ControlRequest request;
  ASSERT_EQ(parse("00000002 00000001", request), ControlParse::complete);
  EXPECT_EQ(request.command, ControlCommand::init);
  EXPECT_EQ(request.flags, control_init_delete_volatile);
  EXPECT_EQ(request.head_size_bytes, 8U);

  ASSERT_EQ(parse("00000005 03", request), ControlParse::complete);
  EXPECT_EQ(request.locality, 3U);
  EXPECT_EQ(request.head_size_bytes, 5U);

  ASSERT_EQ(parse("0000000c 00000001 00000002 00000bb8", request), ControlParse::complete);
  EXPECT_EQ(request.command, ControlCommand::get_state_blob);
  EXPECT_EQ(request.blob_type, 2U);
  EXPECT_EQ(request.offset_bytes, 3000U);

  ASSERT_EQ(parse("0000000d 00000000 00000003 fffffff0 aabb", request), ControlParse::complete);
  EXPECT_EQ(request.command, ControlCommand::set_state_blob);
  EXPECT_EQ(request.blob_type, 3U);
  EXPECT_EQ(request.length_bytes, 0xfffffff0U);
  EXPECT_EQ(request.head_size_bytes, 16U);

  ASSERT_EQ(parse("00000012 0000000000000007 0000000a 00000000", request), ControlParse::complete);
  EXPECT_EQ(request.info_flags, 7U);
  EXPECT_EQ(request.offset_bytes, 10U);
  EXPECT_EQ(request.head_size_bytes, 20U);

  ASSERT_EQ(parse("00000013 00000005", request), ControlParse::complete);
  EXPECT_EQ(request.command, ControlCommand::lock_storage);
  EXPECT_EQ(request.retry_count, 5U);
}

TEST(ControlProtocol, WaitsForTheWholeHead) {
  const auto whole = from_hex("0000000d 00000000 00000003 00000004");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    ControlRequest request;
    EXPECT_EQ(parse_control_request(std::span(whole).first(size), request),
              ControlParse::incomplete)
        << size;
  }
}

TEST(ControlProtocol, RefusesUnknownNumbers) {
  ControlRequest request;
  EXPECT_EQ(parse("00000000", request), ControlParse::unknown);
  EXPECT_EQ(parse("00000014", request), ControlParse::unknown);
  EXPECT_EQ(parse("ffffffff", request), ControlParse::unknown);
}

TEST(ControlProtocol, PaddingBehindAByte) {
  EXPECT_TRUE(may_be_padded(ControlCommand::set_locality));
  EXPECT_TRUE(may_be_padded(ControlCommand::reset_tpm_established));
  EXPECT_FALSE(may_be_padded(ControlCommand::init));
  const auto padding = [](std::string_view hex) { return control_padding_bytes(from_hex(hex)); };
  EXPECT_EQ(padding("00000005 01"), 0U);
  EXPECT_EQ(padding("0000000e"), 0U);
  EXPECT_EQ(padding("000000 00000005 01"), 3U);
  EXPECT_EQ(padding("a1b2c3 0000000e"), 3U);
  EXPECT_EQ(padding("000001 0000000e"), 3U);
  EXPECT_EQ(padding("0000dead 00000000"), 0U);
}

TEST(ControlProtocol, AnErrorIsFourBytesButForTwoCommands) {
  for (std::uint32_t number = 1; number < 0x14; ++number) {
    const auto command = static_cast<ControlCommand>(number);
    if (command != ControlCommand::get_tpm_established &&
        command != ControlCommand::get_state_blob) {
      EXPECT_EQ(to_hex(encode_result(command, 0xa)), "0000000a") << control_command_name(command);
    }
  }
  EXPECT_EQ(to_hex(encode_result(ControlCommand::get_tpm_established, 0xa)), "0000000a00000000");
  EXPECT_EQ(to_hex(encode_result(ControlCommand::get_state_blob, 9)),
            "00000009000000000000000000000000");
  EXPECT_EQ(to_hex(encode_bare_result(0xa)), "0000000a");
}

TEST(ControlProtocol, SuccessHasItsFullLength) {
  EXPECT_EQ(to_hex(encode_result(ControlCommand::init, 0)), "00000000");
  EXPECT_EQ(to_hex(encode_result(ControlCommand::get_config, 0)), "0000000000000000");
}

TEST(ControlProtocol, StateBlobIsSentFromTheOffsetOn) {
  const auto blob = from_hex("0102030405");
  EXPECT_EQ(to_hex(encode_state_blob(blob, 0, 0)), "00000000"
                                                   "00000000"
                                                   "00000005"
                                                   "00000005"
                                                   "0102030405");
  EXPECT_EQ(to_hex(encode_state_blob(blob, 3, 0)), "00000000"
                                                   "00000000"
                                                   "00000005"
                                                   "00000002"
                                                   "0405");
  EXPECT_EQ(to_hex(encode_state_blob(blob, 0xffffffff, 0)), "00000000"
                                                            "00000000"
                                                            "00000005"
                                                            "00000000");
  EXPECT_EQ(encode_state_blob({}, 0, 0).size(), 16U);
}

TEST(ControlProtocol, OtherReplies) {
  EXPECT_EQ(to_hex(encode_capability(0x1ffff)), "000000000001ffff");
  EXPECT_EQ(to_hex(encode_established(true)), "0000000001000000");
  EXPECT_EQ(to_hex(encode_buffer_size(4096, 2808, 4096)), "000000000000100000000af800001000");
  EXPECT_EQ(to_hex(encode_info("{}", 0)), "0000000000000003000000037b7d00");
  EXPECT_EQ(to_hex(encode_info("{}", 1)), "0000000000000003000000027d00");
  const std::string text(5000, 'x');
  EXPECT_EQ(to_hex(encode_info(text, 0)).substr(0, 24), "000000000000138900000c00");
  EXPECT_EQ(encode_info(text, 0).size(), 12U + 3072U);
  EXPECT_EQ(encode_info(text, 3072).size(), 12U + 1929U);
}

} // namespace
} // namespace vnvram::test
