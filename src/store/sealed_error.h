// Why a sealed image is not written to, said in one place.
#pragma once

#include <cstdint>
#include <string>

#include "vnvram/error.h"
#include "vnvram/hand_over.h"

namespace vnvram {

/// `hand_over`: for which one it is sealed; none: for whoever has its state. The remedy is one of
/// two.
[[nodiscard]] Error sealed_error(const std::string& name, std::uint64_t generation,
                                 const HandOverNumber& hand_over);

/// Whether it is that error, which whoever starts a machine may have more to say about than who
/// changes something; and whether it is for a hand-over. Others are sealed because of a move.
[[nodiscard]] bool is_sealed_error(const Error& error);
[[nodiscard]] bool is_for_hand_over(const Error& error);

} // namespace vnvram
