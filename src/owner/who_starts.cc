#include "owner/who_starts.h"

#include "store/sealed_error.h"

namespace vnvram {

Error for_who_starts(const Error& refused, Starts how) {
  if (!is_sealed_error(refused)) {
    return refused;
  }
  if (is_for_hand_over(refused)) {
    const std::string options = how == Starts::shared ? "--incoming" : "--shared --incoming";
    return {ErrorKind::sealed, refused.cause(),
            options + ", for the machine that comes by that hand-over; or, if it is not to go on "
                      "anywhere else: `unseal`"};
  }
  if (how == Starts::shared) { // There --incoming waits for a hand-over, and this is for none.
    return refused;
  }
  return {ErrorKind::sealed, refused.cause(),
          "--incoming, for a machine that comes back to it; or `unseal`"};
}

Error sealed_at_start(const std::string& name, std::uint64_t generation, Starts how) {
  return for_who_starts(sealed_error(name, generation, {}), how);
}

} // namespace vnvram
