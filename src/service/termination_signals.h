// The signals that ask a program for its end.
#pragma once

#include <span>

#include "base/unique_fd.h"
#include "vnvram/result.h"

namespace vnvram {

/// From now on SIGTERM and SIGINT come through the descriptor (signalfd(2)) and through nothing
/// else, and a write that nobody takes, or that is too large for a file, is an error and no end.
/// Called before any thread is started: they inherit it. Errors: io.
Result<UniqueFd> take_termination_signals();
/// The same for these signals.
Result<UniqueFd> take_signals(std::span<const int> signals);

/// Waits for one of them; returns which.
int wait_for_termination(const UniqueFd& signals);

} // namespace vnvram
