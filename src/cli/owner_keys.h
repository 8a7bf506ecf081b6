// Key slots of an image that is in use, by its owner.
#pragma once

#include <string>
#include <vector>

#include "vnvram/key.h"
#include "vnvram/result.h"

namespace vnvram::cli {

// `owner`: its control socket, unix:PATH. Errors of all: absent (nobody listens there), io, and
// those of Store's calls.

Result<std::vector<KeySlotInfo>> list_slots_by_owner(const std::string& owner);
/// The slot's source is asked here, and the owner is told nothing that it says. Errors: the
/// source's, too.
Result<KeySlotInfo> add_slot_by_owner(const std::string& owner, const NewKeySlot& slot);
Result<KeySlotInfo> change_slot_by_owner(const std::string& owner, unsigned number,
                                         const NewKeySlot& slot);
Status remove_slot_by_owner(const std::string& owner, unsigned number, bool allow_last);

} // namespace vnvram::cli
