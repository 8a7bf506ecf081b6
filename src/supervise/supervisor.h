// The processes of one image: its owner, and a front end for each device's socket.
#pragma once

#include <chrono>
#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <poll.h>

#include "base/unique_fd.h"
#include "service/log.h"
#include "service/service_notify.h"
#include "supervise/child_process.h"
#include "supervise/front_end.h"
#include "supervise/part.h"
#include "supervise/readiness.h"
#include "supervise/renewal.h"
#include "vnvram/result.h"

namespace vnvram {

/// Starts the owner, then the front ends, each with a socket that is its session; starts again who
/// dies, and gives the others sessions of an owner that has come. When the owner passes on that an
/// operator wants it, all front ends are exchanged for what is installed now (Renewal). It reads
/// nothing that comes from a guest, an image or a client.
///
/// Threads: one, the process's only one.
class Supervisor {
public:
  struct Setup {
    /// Gets sessions over a socket that is put behind its descriptors (SessionOffer). Ends when
    /// that is over, or when it is asked to.
    Program owner;
    /// Behind its arguments when it is not the first.
    std::vector<std::string> owner_again_arguments;
    /// Behind those, with whom it comes after: EPOCH:PID,PID,..., as those before it have said.
    std::string owner_after_option;
    /// Before each place that the image may have been moved to, behind those.
    std::string owner_moved_option;
    /// Before the place where the image is, if it was moved since the first owner has come.
    std::string owner_place_option;
    std::vector<FrontEnd> front_ends;
    const UniqueFd& signals; ///< Of take_signals(): SIGHUP exchanges the owner, others end all.
    const ServiceNotify& notify;
    const Log& log;
  };

  explicit Supervisor(Setup setup, Readiness readiness);
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;
  ~Supervisor() = default;

  /// Until a signal ends it: first the front ends end, then the owner. Returns the exit code: 0, or
  /// that of the first process that has failed at its start or at the end. Errors: io, absent (a
  /// program cannot be started).
  Result<int> run();

private:
  using Clock = Part::Clock;

  [[nodiscard]] static std::string name_of(const Part& part);
  /// The front ends, and those that are to take their places.
  [[nodiscard]] std::vector<Part*> all_front_ends();
  [[nodiscard]] bool runs_front_ends() const;
  Status open_channels(Part& part, std::vector<UniqueFd>& its_ends);
  Status start(Part& part);
  Result<pid_t> start_successor(Part& part);
  void promote(Part& successor, int code);
  void take_requests();
  void take_request(std::string_view text);
  /// Where the next owner is to look, if it can.
  void take_place(const std::string& place);
  [[nodiscard]] std::string owner_before() const;
  void answer_renewal(const Status& outcome);
  void go_on_with_renewal();
  Status start_what_is_due();
  void give_session(Part& part);
  void became_ready(Part& part);
  void note_ready();
  Status poll();
  void take_signal();
  Status handle_death(Part& part);
  void begin_end();
  void kill_the_orphaned();
  [[nodiscard]] bool is_over() const;
  void end_owner_if_alone();

  const Setup setup_;
  const Readiness readiness_;
  Part owner_;
  std::list<Part> parts_;
  std::list<Part> successors_; ///< Of front ends that run.
  std::optional<Renewal> renewal_;
  pid_t renewal_is_for_ = 0;          ///< The owner that has asked for it.
  std::string opened_epoch_;          ///< As the last owner has said that has opened the image.
  std::string place_;                 ///< As an owner has said that has opened the image there.
  std::vector<std::string> moved_to_; ///< Where it may have been moved to since.
  std::vector<pid_t> owners_since_;   ///< Those that have been started since, but for that one.
  bool was_ready_ = false;            ///< All of them.
  bool was_owner_ready_ = false;
  bool ends_ = false;
  bool owner_is_asked_ = false; ///< To end.
  int exit_code_ = 0;
};

} // namespace vnvram
