// The command that Linux's vTPM proxy sends before others: it is for who runs the TPM.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "soft_tpm/tpm_blobs.h"

namespace vnvram {

/// It sets the locality of the commands that follow.
class LocalityCommand {
public:
  /// Up to this locality. Until this is said there is no such command.
  void take_up_to(std::uint8_t locality_max) { locality_max_ = locality_max; }

  /// The response, valid until the next call; `set` is called before, if that is allowed. Nothing:
  /// it is a command for the TPM.
  std::optional<std::span<const std::byte>> answer(std::span<const std::byte> command,
                                                   TpmVersion version,
                                                   const std::function<void(std::uint8_t)>& set);

private:
  std::optional<std::uint8_t> locality_max_;
  std::array<std::byte, 10> response_{};
};

} // namespace vnvram
