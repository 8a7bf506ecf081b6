// What all sessions of an owner share.
#pragma once

#include <functional>
#include <string>

#include "owner/image_keeper.h"
#include "owner/shared_image.h"
#include "serve/blob_writers.h"
#include "serve/departure.h"
#include "serve/event_log.h"
#include "serve/front_end_renewal.h"
#include "serve/fullness_watch.h"
#include "serve/hand_over.h"
#include "serve/header_changes.h"
#include "serve/hold_clock.h"
#include "serve/image_news.h"
#include "serve/roundup.h"
#include "serve/service_counters.h"
#include "serve/session_list.h"
#include "serve/session_rates.h"

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
  ImageNews& image;
  FullnessWatch& fullness;
  ServiceCounters& counters;
  SessionRates rates;
  /// Has another owner take this one's place, soon. Empty: nobody would start it. Any thread.
  std::function<void()> restart = {};
  FrontEndRenewal& front_ends;
  Roundup& roundup;
  HeaderChanges& header;
  Departure& departure;
  /// Of an image that both hosts of a migration see, whose calls are made by holds.in_turn(). Null:
  /// it is seen here only.
  SharedImage* shared = nullptr;
  /// It is handed over with the state of a TPM that is one of its front ends, and by nobody else.
  bool tpm_hands_over = false;
};

} // namespace vnvram
