// What makes a TPM go on whose state was handed over: an operator's word, in one place.
#pragma once

#include <string_view>

namespace vnvram {

inline constexpr std::string_view operators_word =
    "if it is to go on here, and does nowhere else: vnvram tpm unseal, where there is an --admin "
    "socket; else end what serves it, and vnvram unseal IMAGE";

} // namespace vnvram
