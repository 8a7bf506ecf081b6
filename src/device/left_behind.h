// What this process has left behind of libraries that do not answer.
#pragma once

namespace vnvram {

/// Calls that are still under way although nobody waits for them, and connections that stay because
/// they could not be closed. While there are any, threads of theirs may be anywhere: such a process
/// must not fork, and end only by _exit().
[[nodiscard]] unsigned count_left_behind();

/// For the end of main(), with what it returns. Where something is left behind the program ends
/// here: destructors of those libraries would run beside their threads, and what came of that would
/// be the program's end.
int end_program(int status);

/// One more.
void leave_behind();
/// One of them has come back.
void came_back();

} // namespace vnvram
