// A program that serves one of a machine's devices, on an image that another process owns.
#pragma once

#include <string>
#include <vector>

#include "service/session_offer.h"
#include "supervise/child_process.h"

namespace vnvram {

/// What is started, and again when it has died.
struct FrontEnd {
  /// The socket over which it gets a connection to the image's owner, each time when there is
  /// another one (take_descriptor()), is put behind the program's descriptors.
  Program program;
  /// Behind its arguments, of one that takes the place of another that runs. Both of them have a
  /// socket behind that for sessions, over which the first one hears of the second one
  /// (take_descriptor()); the second one has the other end of what comes over it behind that. None:
  /// it can only end, and be started again.
  std::vector<std::string> successor_arguments = {};
  SessionOffer session; ///< Its pid is set when there is one.
  /// Where its clients come, which stays when it dies.
  int listening_socket = -1;
  /// By which they find a unix socket: what bound it may have called it otherwise. Empty: the
  /// socket has no other name than its own (getsockname(2)).
  std::string socket_path = {};
  /// It says when it is ready (Readiness). If not, it is ready when it greets a client.
  bool says_ready = true;
  /// What its death means for a machine that runs, and what to do.
  std::string loss;
};

} // namespace vnvram
