#include "tpm/control_protocol.h"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <string>

#include <swtpm/tpm_ioctl.h>

#include "base/big_endian.h"

namespace vnvram {
namespace {

struct CommandShape {
  std::string_view name;
  std::size_t head_size_bytes;  // With the command number.
  std::size_t reply_size_bytes; // Without data of variable length.
  bool whole_error = false;     // An error has that size, too.
};

// By command number; 0 is not a command.
constexpr std::array<CommandShape, 0x14> shapes = {{
    {"", 4, 4},
    {"CMD_GET_CAPABILITY", 4, 8},
    {"CMD_INIT", 8, 4},
    {"CMD_SHUTDOWN", 4, 4},
    {"CMD_GET_TPMESTABLISHED", 4, 8, true},
    {"CMD_SET_LOCALITY", 5, 4},
    {"CMD_HASH_START", 4, 4},
    {"CMD_HASH_DATA", 8, 4},
    {"CMD_HASH_END", 4, 4},
    {"CMD_CANCEL_TPM_CMD", 4, 4},
    {"CMD_STORE_VOLATILE", 4, 4},
    {"CMD_RESET_TPMESTABLISHED", 5, 4},
    {"CMD_GET_STATEBLOB", 16, 16, true},
    {"CMD_SET_STATEBLOB", 16, 4},
    {"CMD_STOP", 4, 4},
    {"CMD_GET_CONFIG", 4, 8},
    {"CMD_SET_DATAFD", 4, 4},
    {"CMD_SET_BUFFERSIZE", 8, 16},
    {"CMD_GET_INFO", 20, 12},
    {"CMD_LOCK_STORAGE", 8, 4},
}};

// The header that clients are built with has the last word on numbers and shapes.
static_assert(CMD_GET_CAPABILITY == static_cast<int>(ControlCommand::get_capability));
static_assert(CMD_GET_INFO == static_cast<int>(ControlCommand::get_info));
static_assert(shapes[CMD_GET_TPMESTABLISHED].reply_size_bytes == sizeof(ptm_est::u.resp));
static_assert(shapes[CMD_GET_CONFIG].reply_size_bytes == sizeof(ptm_getconfig::u.resp));
static_assert(shapes[CMD_SET_BUFFERSIZE].reply_size_bytes == sizeof(ptm_setbuffersize::u.resp));
static_assert(shapes[CMD_GET_STATEBLOB].reply_size_bytes ==
              sizeof(ptm_getstate::u.resp) - PTM_STATE_BLOB_SIZE);
static_assert(shapes[CMD_GET_INFO].reply_size_bytes ==
              sizeof(ptm_getinfo::u.resp) - PTM_GETINFO_SIZE);
static_assert(shapes[CMD_GET_INFO].head_size_bytes ==
              sizeof(std::uint32_t) + sizeof(ptm_getinfo::u.req));
static_assert(control_capabilities_commands == PTM_CAP_SEND_COMMAND_HEADER - 1);
static_assert(control_capability_command_header == PTM_CAP_SEND_COMMAND_HEADER);

static_assert(control_state_encrypted == PTM_STATE_FLAG_ENCRYPTED);

const CommandShape& shape_of(ControlCommand command) {
  return shapes.at(static_cast<std::size_t>(command));
}

using Words = std::initializer_list<std::uint32_t>;

// A reply of 32-bit words, filled up with zeros, and data behind it.
std::vector<std::byte> encode(std::size_t head_size_bytes, Words words,
                              std::span<const std::byte> data = {}) {
  std::vector<std::byte> reply(head_size_bytes + data.size());
  std::size_t offset = 0;
  for (const std::uint32_t word : words) {
    store_big_endian(std::span(reply), offset, word);
    offset += sizeof(word);
  }
  std::copy(data.begin(), data.end(), reply.begin() + static_cast<std::ptrdiff_t>(head_size_bytes));
  return reply;
}

std::uint32_t count(std::span<const std::byte> data) {
  return static_cast<std::uint32_t>(data.size());
}

} // namespace

ControlParse parse_control_request(std::span<const std::byte> bytes, ControlRequest& request) {
  if (bytes.size() < sizeof(std::uint32_t)) {
    return ControlParse::incomplete;
  }
  const auto number = load_big_endian<std::uint32_t>(bytes, 0);
  if (number == 0 || number >= shapes.size()) {
    return ControlParse::unknown;
  }
  request = {};
  request.command = static_cast<ControlCommand>(number);
  request.head_size_bytes = shapes.at(number).head_size_bytes;
  if (bytes.size() < request.head_size_bytes) {
    return ControlParse::incomplete;
  }
  const auto word = [&](std::size_t offset) {
    return load_big_endian<std::uint32_t>(bytes, offset);
  };
  switch (request.command) {
  case ControlCommand::init: request.flags = word(4); break;
  case ControlCommand::set_locality:
  case ControlCommand::reset_tpm_established:
    request.locality = std::to_integer<std::uint8_t>(bytes[4]);
    break;
  case ControlCommand::hash_data: request.length_bytes = word(4); break;
  case ControlCommand::get_state_blob:
    request.flags = word(4);
    request.blob_type = word(8);
    request.offset_bytes = word(12);
    break;
  case ControlCommand::set_state_blob:
    request.flags = word(4);
    request.blob_type = word(8);
    request.length_bytes = word(12);
    break;
  case ControlCommand::set_buffer_size: request.buffer_bytes = word(4); break;
  case ControlCommand::lock_storage: request.retry_count = word(4); break;
  case ControlCommand::get_info:
    request.info_flags = load_big_endian<std::uint64_t>(bytes, 4);
    request.offset_bytes = word(12);
    break;
  default: break;
  }
  return ControlParse::complete;
}

bool may_be_padded(ControlCommand command) {
  return command == ControlCommand::set_locality ||
         command == ControlCommand::reset_tpm_established;
}

std::size_t control_padding_bytes(std::span<const std::byte> bytes) {
  constexpr std::size_t padding_bytes = control_padding_max_bytes;
  const auto is_number_at = [&](std::size_t offset) {
    const auto number = load_big_endian<std::uint32_t>(bytes, offset);
    return number != 0 && number < shapes.size();
  };
  if (bytes.size() < padding_bytes + sizeof(std::uint32_t) || is_number_at(0)) {
    return 0;
  }
  return is_number_at(padding_bytes) ? padding_bytes : 0;
}

std::string_view control_command_name(ControlCommand command) {
  return shape_of(command).name;
}

std::vector<std::byte> encode_result(ControlCommand command, std::uint32_t result) {
  const CommandShape& shape = shape_of(command);
  return result == 0 || shape.whole_error ? encode(shape.reply_size_bytes, {result})
                                          : encode_bare_result(result);
}

std::vector<std::byte> encode_bare_result(std::uint32_t result) {
  return encode(sizeof(result), {result});
}

std::vector<std::byte> encode_capability(std::uint64_t capabilities) {
  std::vector<std::byte> reply(sizeof(capabilities));
  store_big_endian(std::span(reply), 0, capabilities);
  return reply;
}

std::vector<std::byte> encode_established(bool established) {
  constexpr std::uint32_t bit_in_first_byte = std::uint32_t{1} << 24U;
  return encode(shape_of(ControlCommand::get_tpm_established).reply_size_bytes,
                {0, established ? bit_in_first_byte : 0});
}

std::vector<std::byte> encode_buffer_size(std::uint32_t size_bytes, std::uint32_t min_bytes,
                                          std::uint32_t max_bytes) {
  return encode(shape_of(ControlCommand::set_buffer_size).reply_size_bytes,
                {0, size_bytes, min_bytes, max_bytes});
}

std::vector<std::byte> encode_state_blob(std::span<const std::byte> blob,
                                         std::uint32_t offset_bytes, std::uint32_t state_flags) {
  const auto rest = blob.subspan(std::min<std::size_t>(offset_bytes, blob.size()));
  // Result, the state's flags, the length of all and of what follows.
  return encode(shape_of(ControlCommand::get_state_blob).reply_size_bytes,
                {0, state_flags, count(blob), count(rest)}, rest);
}

std::vector<std::byte> encode_config(std::uint32_t flags) {
  return encode(shape_of(ControlCommand::get_config).reply_size_bytes, {0, flags}, {});
}

std::vector<std::byte> encode_info(std::string_view text, std::uint32_t offset_bytes) {
  // Clients print what they get as a C string: the closing NUL is part of the data.
  const std::string terminated(text);
  const auto data = std::as_bytes(std::span(terminated.c_str(), terminated.size() + 1));
  const auto rest = data.subspan(std::min<std::size_t>(offset_bytes, data.size()));
  const auto part = rest.first(std::min(rest.size(), std::size_t{PTM_GETINFO_SIZE}));
  return encode(shape_of(ControlCommand::get_info).reply_size_bytes, {0, count(data), count(part)},
                part);
}

} // namespace vnvram
