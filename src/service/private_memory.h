// What a process that has keys in its memory keeps to itself.
#pragma once

namespace vnvram {

/// No core dump of this process from now on, and no other process of its user looks into it. Before
/// a key is read. Harmless if the system does not let it.
void keep_memory_private();

} // namespace vnvram
