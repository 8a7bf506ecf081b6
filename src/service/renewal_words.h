// What an image's owner and whoever has started it say to each other of its front ends.
#pragma once

#include <string>
#include <string_view>

#include "vnvram/result.h"

namespace vnvram {

/// The owner's: an operator wants what is installed now in the place of all front ends.
inline constexpr std::string_view renewal_request = "renew";

/// The answer to it.
[[nodiscard]] inline std::string renewal_answer(const Status& outcome) {
  return outcome.ok() ? "renewed" : "failed " + outcome.error().cause();
}

/// What it says.
[[nodiscard]] inline Status renewal_outcome(std::string_view answer) {
  constexpr std::string_view failed = "failed ";
  if (answer == "renewed") {
    return {};
  }
  return Error(ErrorKind::io,
               answer.starts_with(failed) ? std::string(answer.substr(failed.size()))
                                          : "whoever has started the owner has said nonsense",
               "the log says more");
}

} // namespace vnvram
