#include "format/table_entry.h"

#include "base/barrier.h"

namespace vnvram::format {

unsigned TableEntry::other_slot() const {
  if (empty()) {
    return 0;
  }
  return kept(Barrier::other_slot) ? 1U - slot() : slot();
}

} // namespace vnvram::format
