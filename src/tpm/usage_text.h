// What vnvram-tpm says of its command line.
#pragma once

#include <string_view>

namespace vnvram {

[[nodiscard]] std::string_view usage_text();

} // namespace vnvram
