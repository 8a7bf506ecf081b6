// Calls of a library that may never come back.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "device/repeated_call.h"

namespace vnvram {

/// What `call` returns; nothing when it has not returned after `patience`. Then it is left behind
/// (see RepeatedCall): all that it uses must belong to it, a shared_ptr in its captures, and when
/// it returns in the end it is destroyed there, with what it has returned.
template <typename Call>
std::optional<std::invoke_result_t<Call&>> call_in_time(std::chrono::milliseconds patience,
                                                        Call call) {
  using Answer = std::invoke_result_t<Call&>;
  const auto once = std::make_shared<std::optional<Call>>(std::move(call));
  return RepeatedCall<Answer>([once] {
    Answer answer = (**once)();
    once->reset(); // What it owns goes before anybody hears of it.
    return answer;
  })(patience);
}

} // namespace vnvram
