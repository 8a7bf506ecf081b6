// Memory that was needed once, and is not any more.
#pragma once

namespace vnvram {

/// One heap for all threads, where each of them would have its own with gaps of its own; and what
/// is large goes back when it is freed, always. To be said before there are threads.
void keep_memory_small();

/// Gives back what is free of the heap, and what this thread's stack was deeper before. For a
/// thread that has nothing to do for a while: it takes some microseconds, now and of the next call.
void give_back_memory();

/// And the pages of the program and its libraries that nobody has changed: those stay in the page
/// cache, and what runs again is mapped again from there. For a process that has come to rest; one
/// that is about to serve would only fetch them back. A debugger's breakpoints are changes that it
/// loses.
void give_back_all_memory();

} // namespace vnvram
