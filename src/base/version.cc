#include "vnvram/version.h"

namespace vnvram {

std::string_view version() {
  return VNVRAM_VERSION;
}

} // namespace vnvram
