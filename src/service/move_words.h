// What an image's owner and whoever has started it say to each other before the image goes on at
// another place, so that the owner that comes next finds it there.
#pragma once

#include <cerrno>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include <unistd.h>

#include "vnvram/result.h"

namespace vnvram {

/// The owner's, with the place behind it: what cannot be opened any more where it was may be there.
inline constexpr std::string_view move_beginning = "moves ";
/// The answer to it, with why it is no place for who comes next behind it, if it is none.
inline constexpr std::string_view move_answer_beginning = "moves:";

/// The owner's, with the place behind it: it has opened the image there, where it was moved to.
inline constexpr std::string_view place_beginning = "is at ";

/// As far as it can be told without a look at what is there: whoever has made it may be another
/// user, and see other folders.
[[nodiscard]] inline Status check_place(const std::string& place) {
  return place.starts_with('/') && ::access(place.c_str(), R_OK | W_OK) != 0
             ? Error(ErrorKind::absent,
                     "the image's owner would not find, or could not open, " + place + ": " +
                         std::system_category().message(errno),
                     "name a place that it can open, by a name that it has there, too")
             : Status();
}

/// With the place, since one that comes late is not the next question's.
[[nodiscard]] inline std::string move_answer(const std::string& place, const Status& outcome) {
  return std::string(move_answer_beginning) + place + '\n' +
         (outcome.ok() ? "" : outcome.error().cause());
}
/// Nothing: it is about another place.
[[nodiscard]] inline std::optional<Status> move_outcome(std::string_view answer,
                                                        const std::string& place) {
  answer.remove_prefix(move_answer_beginning.size());
  if (!answer.starts_with(place + '\n')) {
    return std::nullopt;
  }
  answer.remove_prefix(place.size() + 1);
  return answer.empty() ? Status()
                        : Error(ErrorKind::absent, std::string(answer),
                                "name a place that it can open, by a name that it has there, too");
}

} // namespace vnvram
