#include "cli/reservation_json.h"

#include <fmt/core.h>
#include <nlohmann/json.hpp>

namespace vnvram::cli {
namespace {

using Holder = ReservationLook::Holder;

const char* holder_name(Holder holder) {
  switch (holder) {
  case Holder::nobody: return "nobody";
  case Holder::this_host: return "this_host";
  case Holder::another_host: return "another_host";
  case Holder::some_host: return "some_host";
  case Holder::something_else: break;
  }
  return "something_else";
}

} // namespace

nlohmann::ordered_json reservation_json(const std::optional<ReservationLook>& look) {
  using Json = nlohmann::ordered_json;
  return !look ? Json()
               : Json{{"holder", look->holder ? Json(holder_name(*look->holder)) : Json()},
                      {"key", look->key == 0 ? Json() : Json(fmt::format("{:#x}", look->key))},
                      {"possible", look->possible.ok()},
                      {"reason", look->possible ? Json() : Json(look->possible.error().cause())}};
}

} // namespace vnvram::cli
