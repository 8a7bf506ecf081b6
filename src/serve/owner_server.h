// The owner's control socket.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/unique_fd.h"
#include "owner/image_keeper.h"
#include "serve/owner_parts.h"
#include "serve/session.h"
#include "service/connection_limits.h"
#include "service/door.h"
#include "service/listener.h"
#include "service/log.h"

namespace vnvram {

/// Serves the image that a keeper has to whoever connects: the right to everything for each, so the
/// socket's mode and owner say who may. When there are as many sessions as the limit allows, the
/// one that has been silent the longest of those that write nothing makes room; if all write, the
/// new one is refused.
///
/// Threads: one of its own, and one for each session, from start() to the destructor.
class OwnerServer {
public:
  /// What it is given outlives it.
  struct Setup {
    ImageKeeper& keeper;
    std::string location; ///< Of the image, for messages.
    const Listener& listener;
    ConnectionLimits limits;
    Clock& clock; ///< For holds, and to say how fast something fills up.
    const Log& log;
    SessionRates rates = {};
    /// The machine comes from elsewhere: the first change of a device that claims its blobs takes
    /// the seal off an image that is sealed. Once.
    bool is_incoming = false;
    /// It takes the place of an owner that has died: those that are admitted may use what they have
    /// not claimed again yet, and the image is not sealed before they have said so.
    bool takes_over = false;
    /// See OwnerParts. It outlives the server, as the others do.
    SharedImage* shared = nullptr;
    bool tpm_hands_over = false; ///< See OwnerParts.
    /// Has another owner take this one's place, soon. Empty: nobody would start it. Any thread.
    std::function<void()> restart = {};
    /// Asks whoever has started the front ends to exchange them; front_ends_renewed() is the
    /// answer. Empty: nobody would. Any thread.
    std::function<Status()> renew_front_ends = {};
    /// Nothing in it: the image cannot be moved under its front ends.
    Departure::Setup departure = {};
  };

  /// Who is at the other end of a session, by the word of whoever has started it.
  struct FrontEnd {
    std::string device;
    pid_t pid = 0;
    std::optional<uid_t> uid = std::nullopt; ///< Nothing: as the socket says.
  };

  /// Errors: io (no descriptor left, or no thread); those of check_shared_blobs().
  static Result<std::unique_ptr<OwnerServer>> start(const Setup& setup);
  /// One more session, over a socket that is connected, with the rights of the scope and no others.
  /// It never makes room for another one. Any thread.
  void admit(UniqueFd socket, Scope scope, FrontEnd peer);
  /// What has become of that. Any thread.
  void front_ends_renewed(const Status& outcome) { front_ends_.end(outcome); }
  /// The machine's devices are told to end: what waits for an image that is elsewhere is refused,
  /// or they would wait for that. Any thread.
  void devices_end();
  OwnerServer(const OwnerServer&) = delete;
  OwnerServer& operator=(const OwnerServer&) = delete;
  /// Ends the sessions behind their calls under way, and releases what is held. The image stays
  /// open.
  ~OwnerServer();

  /// See metrics_text(). Threads: any.
  [[nodiscard]] std::string metrics() const;

private:
  OwnerServer(const Setup& setup, UniqueFd bell_fd);

  void run();
  void say_nearly_full(const NearlyFull& full);

  void accept();
  void begin_admitted();
  void begin_session(UniqueFd socket, Peer peer, std::optional<Scope> scope);
  void forget_the_ended();
  [[nodiscard]] bool has_room() const; ///< For one more session.
  bool drop_a_silent_one();

  const Setup setup_;
  Bell bell_; ///< Events: a session has ended, or was admitted.
  std::uint64_t failures_watch_ = 0;
  EventLog events_;
  BlobWriters writers_;
  SessionList list_;
  HandOver hand_over_;
  ServiceCounters counters_;
  ImageNews image_;
  FullnessWatch fullness_;
  HoldClock holds_;
  FrontEndRenewal front_ends_;
  Roundup roundup_;
  HeaderChanges header_;
  Departure departure_;
  OwnerParts parts_;
  Door door_;
  std::uint64_t last_session_ = 0;
  std::list<Session> sessions_;
  struct Admitted {
    UniqueFd socket;
    Scope scope;
    FrontEnd peer;
  };
  std::mutex admitted_mutex_;
  std::vector<Admitted> admitted_; ///< Under its mutex: those that begin next.

  std::jthread thread_;
};

} // namespace vnvram
