// What all sessions of an owner share.
#pragma once

#include <string>

#include "owner/image_keeper.h"
#include "serve/blob_writers.h"
#include "serve/event_log.h"
#include "serve/hold_clock.h"
#include "serve/session_list.h"

namespace vnvram {

/// Each outlives every session.
struct OwnerParts {
  std::string location; ///< Of the image, for messages.
  ImageKeeper& keeper;
  BlobWriters& writers;
  EventLog& events;
  HoldClock& holds;
  SessionList& sessions;
};

} // namespace vnvram
