// Memory that was needed once, and is not any more.
#pragma once

namespace vnvram {

/// One heap for all threads, where each of them would have its own with gaps of its own; and what
/// is large goes back when it is freed, always. To be said before there are threads.
void keep_memory_small();

/// Gives back what is free of the heap, what this thread's stack was deeper before, and the pages
/// of the program and its libraries that nobody has changed: those stay in the page cache, and what
/// runs again is mapped again from there. For a thread that has nothing to do for a while: it takes
/// some microseconds, now and of the next call. A debugger's breakpoints are changes that it loses.
void give_back_memory();

} // namespace vnvram
