// A TPM that serves a machine, as one process tells it another.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/secret_bytes.h"
#include "soft_tpm/running_state.h"
#include "soft_tpm/tpm_blobs.h"
#include "tpm/command_connection.h"
#include "tpm/control_connection.h"
#include "tpm/custody.h"
#include "vnvram/result.h"

namespace vnvram {

/// As RunningTpm in running_tpm.capnp. Its sockets are passed on beside it: the machine's, if there
/// is one, and those of the clients in their order.
struct RunningTpm {
  struct Client {
    std::uint64_t number = 0;
    ControlConnection::Rest rest;
    std::optional<std::uint32_t> blob_type; ///< ControlClient's.
    SecretBytes blob;
  };

  TpmVersion version = TpmVersion::tpm2_0;
  std::array<std::byte, 16> image_uuid{};
  std::array<std::uint64_t, tpm_state_count> generations{}; ///< In the order of TpmState.
  RunningState state;
  Custody::Standing standing;
  std::uint8_t machine_locality = 0;
  std::uint64_t next_client = 1;
  std::optional<std::uint64_t> controller;
  std::vector<Client> clients;
  std::optional<CommandConnection::Rest> machine; ///< None: no machine is connected.

  [[nodiscard]] std::size_t socket_count() const { return clients.size() + (machine ? 1 : 0); }
};

/// Longer than any that there can be.
inline constexpr std::size_t running_tpm_max_bytes = std::size_t{32} << 20U;
inline constexpr std::size_t running_tpm_clients_max = 256;

[[nodiscard]] SecretBytes write_running_tpm(const RunningTpm& tpm);
/// Of bytes that anybody may have sent. Errors: unsupported (of a version that this one does not
/// understand), invalid_argument (anything else that is wrong with it).
[[nodiscard]] Result<RunningTpm> read_running_tpm(std::span<const std::byte> bytes);

} // namespace vnvram
