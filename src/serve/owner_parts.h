// What all sessions of an owner share.
#pragma once

#include <string>

#include "owner/image_keeper.h"
#include "serve/blob_writers.h"
#include "serve/event_log.h"
#include "serve/hand_over.h"
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
  HandOver& hand_over;
  /// The machine comes from elsewhere: its first change takes a seal off.
  bool is_incoming = false;
};

} // namespace vnvram
