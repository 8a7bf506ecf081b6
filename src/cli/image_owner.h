// An image and its control socket, until this process is told to end.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "cli/metrics_options.h"
#include "owner/image_keeper.h"
#include "owner/shared_image.h"
#include "serve/departure.h"
#include "serve/owner_server.h"
#include "serve/session_rates.h"
#include "service/listener.h"
#include "service/log.h"
#include "service/sandbox.h"
#include "service/socket_address.h"
#include "vnvram/result.h"
#include "vnvram/space.h"
#include "vnvram/take_over.h"

namespace vnvram::cli {

/// What `vnvram serve` does where it is the owner: by itself, or for the process that has started
/// it.
class ImageOwner {
public:
  struct Setup {
    std::string image;
    /// Where it may have been moved to since, as owners of the same machine have said.
    std::vector<std::string> moved_to = {};
    DeviceOptions device;
    AnchorUse anchor;
    KeyRing keys;
    SpacePolicy space = SpacePolicy::reserve;
    bool reserve = false;             ///< See ImageKeeper::Setup.
    std::uint64_t grow_max_bytes = 0; ///< See OpenOptions.
    bool accept_sealed = false;
    /// The other host of a migration sees the image as well: see SharedImage.
    bool is_shared = false;
    /// And has it; else what is found sealed for a hand-over is taken for that, by a next one.
    bool stands_by = false;
    bool tpm_hands_over = false;        ///< See OwnerParts.
    std::optional<OwnerWord> take_over; ///< See ImageKeeper::Opening.
    bool is_incoming = false;           ///< See OwnerServer::Setup, also for the next.
    bool takes_over = false;
    std::optional<OwnerBefore> comes_after; ///< See OpenOptions.
    SocketAddress control;
    SocketAccess access;
    /// A socket from which sessions come (SessionOffer); its end is this process's. None: -1.
    int channel = -1;
    /// What it gives up once everything is open; nothing if none.
    std::optional<Seccomp> seccomp;
    const MetricsOptions& metrics;
    SessionRates rates;
    const Log& log;
  };

  explicit ImageOwner(Setup setup) : setup_(std::move(setup)) {}
  /// Until a signal comes, the channel is over, or the image goes on at another place. Errors:
  /// those of opening and closing the image, and of the socket.
  Status run();
  /// Where that is, for an owner that comes next; empty: it does not.
  [[nodiscard]] const std::string& goes_on_at() const { return goes_on_at_; }
  /// Where it was opened.
  [[nodiscard]] const std::string& location() const { return location_; }

private:
  /// At the image's place, or where it was moved to from there.
  Status attach(ImageKeeper& keeper, SharedImage& shared);
  Status attach_there(ImageKeeper& keeper) const;
  /// `attached`: why it was refused at location_, which it is as well if the image is nowhere else.
  Status attach_where_it_went(ImageKeeper& keeper, Status attached);
  /// An owner before this one had it, and it could not be opened.
  Status follow(const Error& refused, ImageKeeper& keeper, SharedImage& shared) const;
  /// Whoever starts the next owner hears of it.
  Status announce(const std::string& place);
  [[nodiscard]] Departure::Setup departure(std::function<void()> end);
  Status serve(ImageKeeper& keeper, SharedImage& shared, const Listener& listener,
               const std::optional<Listener>& metrics_listener, const UniqueFd& signals);
  Status give_up_rights() const;
  void wait_for_end(OwnerServer& server, const UniqueFd& signals, const UniqueFd& restarts);
  /// False: the channel is over.
  [[nodiscard]] bool take_sessions(OwnerServer& server);

  const Setup setup_;
  std::string location_;
  std::string goes_on_at_; ///< Of a session's thread, until that has ended.
  bool was_told_to_end_ = false;
  std::mutex place_mutex_; ///< Of the next.
  std::string asked_place_;
  std::optional<Status> place_answer_;
  std::condition_variable place_answered_;
};

} // namespace vnvram::cli
