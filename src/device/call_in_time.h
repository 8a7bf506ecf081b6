// Calls of a library that may never come back.
#pragma once

#include <chrono>
#include <functional>
#include <optional>

namespace vnvram {

/// What `call` returns; nothing when it has not returned after `patience`. Then it is left behind
/// on its thread, for as long as the process lives: all that it uses must belong to it (a
/// shared_ptr in its captures), and when it returns in the end it is destroyed there.
///
/// This is the one place where a thread is left to itself. There is no way to end another's call
/// from outside, and whoever waited for the thread would wait for the call.
std::optional<int> call_in_time(std::chrono::milliseconds patience, std::function<int()> call);

} // namespace vnvram
