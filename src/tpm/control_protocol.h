// The control protocol of QEMU's `-tpmdev emulator` and of swtpm_ioctl: the bytes only.
//
// A request is a command number and a head of fixed size, then for two commands a body whose length
// is in the head. Replies are as long as swtpm's, which is what clients count on: see
// encode_result().
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace vnvram {

enum class ControlCommand : std::uint32_t {
  get_capability = 0x01,
  init = 0x02,
  shutdown = 0x03,
  get_tpm_established = 0x04,
  set_locality = 0x05,
  hash_start = 0x06,
  hash_data = 0x07,
  hash_end = 0x08,
  cancel_tpm_command = 0x09,
  store_volatile = 0x0a,
  reset_tpm_established = 0x0b,
  get_state_blob = 0x0c,
  set_state_blob = 0x0d,
  stop = 0x0e,
  get_config = 0x0f,
  set_data_fd = 0x10,
  set_buffer_size = 0x11,
  get_info = 0x12,
  lock_storage = 0x13,
};

/// Capability bits 0 to 14 stand for the commands of tpm_ioctl.h, in its order.
inline constexpr std::uint64_t control_capabilities_commands = 0x7fff;
/// TPM commands may come with a nine-byte head in front (TPM 2.0 only).
inline constexpr std::uint64_t control_capability_command_header = 0x8000;
/// CMD_LOCK_STORAGE: newer than the header that Debian 12 ships.
inline constexpr std::uint64_t control_capability_lock_storage = 0x10000;

inline constexpr std::uint32_t control_init_delete_volatile = 0x1;
/// Of get_state_blob: the state is wanted without the encryption that it has in swtpm's file.
inline constexpr std::uint32_t control_state_decrypted = 0x1;
/// Of set_state_blob, and of the reply to get_state_blob: the state is encrypted with the key of
/// swtpm's file.
inline constexpr std::uint32_t control_state_encrypted = 0x2;
/// Of the reply to get_config.
inline constexpr std::uint32_t control_config_state_key = 0x1;
inline constexpr std::uint32_t control_config_migration_key = 0x2;
inline constexpr std::size_t control_head_size_max_bytes = 20;

/// A request's number and head. Fields that the command does not have are 0.
struct ControlRequest {
  ControlCommand command = ControlCommand::get_capability;
  std::uint32_t flags = 0;         ///< init, get_state_blob, set_state_blob
  std::uint8_t locality = 0;       ///< set_locality, reset_tpm_established
  std::uint32_t blob_type = 0;     ///< get_state_blob, set_state_blob
  std::uint32_t offset_bytes = 0;  ///< get_state_blob, get_info
  std::uint32_t length_bytes = 0;  ///< Of the body that follows: set_state_blob, hash_data.
  std::uint32_t buffer_bytes = 0;  ///< set_buffer_size; 0 asks for the current size.
  std::uint64_t info_flags = 0;    ///< get_info
  std::uint32_t retry_count = 0;   ///< lock_storage
  std::size_t head_size_bytes = 0; ///< How much of the input the number and the head took.
};

enum class ControlParse { incomplete, complete, unknown };

/// Parses one number and head at the beginning of `bytes`. `unknown`: there is no such command, so
/// where the next one begins cannot be told.
ControlParse parse_control_request(std::span<const std::byte> bytes, ControlRequest& request);

/// QEMU sends the one-byte heads of SET_LOCALITY and RESET_TPMESTABLISHED with three bytes behind
/// them that mean nothing (the size of a C union), other clients do not.
[[nodiscard]] bool may_be_padded(ControlCommand command);
inline constexpr std::size_t control_padding_max_bytes = 3;
/// How many bytes to skip at the beginning of what follows such a command: 0 or 3. The caller has
/// waited for at least four bytes. It is never ambiguous: a command number begins with a zero byte,
/// so three bytes in front of one never make another number.
[[nodiscard]] std::size_t control_padding_bytes(std::span<const std::byte> bytes);

/// For the log, e.g. "CMD_INIT".
[[nodiscard]] std::string_view control_command_name(ControlCommand command);

/// A reply that carries nothing but a result. Success is filled up with zeros to the command's full
/// length. An error is the result alone: QEMU 9.2 and newer reads four bytes, and no more if they
/// are not zero. Where swtpm sends the whole reply in any case (GET_TPMESTABLISHED, GET_STATEBLOB),
/// every QEMU waits for all of it.
///
/// An older QEMU waits for the whole reply always, so it must never be in the way of an error that
/// is shorter: it only asks what cannot fail then.
std::vector<std::byte> encode_result(ControlCommand command, std::uint32_t result);
/// For what is not known, and where swtpm answers an error before it looks at the command.
std::vector<std::byte> encode_bare_result(std::uint32_t result);
std::vector<std::byte> encode_capability(std::uint64_t capabilities);
std::vector<std::byte> encode_established(bool established);
std::vector<std::byte> encode_buffer_size(std::uint32_t size_bytes, std::uint32_t min_bytes,
                                          std::uint32_t max_bytes);
/// Everything from the offset on; nothing when it lies beyond the end.
std::vector<std::byte> encode_state_blob(std::span<const std::byte> blob,
                                         std::uint32_t offset_bytes, std::uint32_t state_flags);
std::vector<std::byte> encode_config(std::uint32_t flags);
/// From the offset on, which lies within the text, as much as fits.
std::vector<std::byte> encode_info(std::string_view text, std::uint32_t offset_bytes);

} // namespace vnvram
