#include "soft_tpm/orderly_shutdown.h"

#include "soft_tpm/tpm_message.h"

namespace vnvram {
namespace {

constexpr std::uint32_t shutdown_code = 0x145;

// TPM2_Shutdown(STATE) and TPM2_Shutdown(CLEAR).
constexpr std::array<OrderlyShutdown::Command, 2> commands = {
    bytes_of<12>("\x80\x01\0\0\0\x0c\0\0\x01\x45\0\x01"),
    bytes_of<12>("\x80\x01\0\0\0\x0c\0\0\x01\x45\0\0")};

} // namespace

void OrderlyShutdown::ran(std::span<const std::byte> command, std::span<const std::byte> response,
                          std::uint64_t permanent_revision) {
  if (tpm_code(command) != shutdown_code || tpm_code(response) != 0) {
    return;
  }
  // The type is the last of the command, with or without sessions in front.
  last_ = Sent{command.back() == std::byte{1}, permanent_revision};
}

std::span<const OrderlyShutdown::Command>
OrderlyShutdown::due(std::uint64_t permanent_revision) const {
  if (!last_) {
    return std::span(commands).last(1);
  }
  if (last_->permanent_revision == permanent_revision) {
    return {};
  }
  return std::span(commands).last(last_->keeps_state ? 2 : 1);
}

std::optional<OrderlyShutdown::Told> OrderlyShutdown::told(std::uint64_t permanent_revision) const {
  return last_ ? std::optional(Told{.keeps_state = last_->keeps_state,
                                    .stands = last_->permanent_revision == permanent_revision})
               : std::nullopt;
}

void OrderlyShutdown::was_told(Told told, std::uint64_t permanent_revision) {
  last_ = Sent{told.keeps_state, told.stands ? permanent_revision : permanent_revision - 1};
}

} // namespace vnvram
