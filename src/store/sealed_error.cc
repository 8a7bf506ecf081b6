#include "store/sealed_error.h"

#include <string_view>

#include <fmt/core.h>

namespace vnvram {
namespace {

constexpr std::string_view remedy = "if that one does not have it, or is not to go on: `unseal`";
constexpr std::string_view remedy_of_hand_over = "if that one is not to go on: `unseal`";

} // namespace

Error sealed_error(const std::string& name, std::uint64_t generation,
                   const HandOverNumber& hand_over) {
  if (hand_over.is_none()) {
    return {ErrorKind::sealed,
            fmt::format("{}: sealed at generation {}, since its state was handed over to another "
                        "machine, or is in a snapshot or file",
                        name, generation),
            std::string(remedy)};
  }
  return {ErrorKind::sealed,
          fmt::format("{}: sealed at generation {} for a hand-over to another host, which may be "
                      "about to go on with it",
                      name, generation),
          std::string(remedy_of_hand_over)};
}

bool is_sealed_error(const Error& error) {
  return error.kind() == ErrorKind::sealed &&
         (error.remedy() == remedy || error.remedy() == remedy_of_hand_over);
}

bool is_for_hand_over(const Error& error) {
  return error.kind() == ErrorKind::sealed && error.remedy() == remedy_of_hand_over;
}

} // namespace vnvram
