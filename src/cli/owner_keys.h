// Key slots of an image that is in use, by its owner.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "rpc/owner_client.h"
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
/// Another data key. On a terminal its progress is shown meanwhile.
Result<OwnerClient::RotatedSlots> rotate_by_owner(const std::string& owner, bool leave_out_others,
                                                  std::span<const unsigned> without);

} // namespace vnvram::cli
