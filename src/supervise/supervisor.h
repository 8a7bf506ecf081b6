// The processes of one image: its owner, and a front end for each device's socket.
#pragma once

#include <chrono>
#include <list>
#include <optional>
#include <string>
#include <vector>

#include <poll.h>

#include "base/unique_fd.h"
#include "service/log.h"
#include "service/service_notify.h"
#include "supervise/child_process.h"
#include "supervise/front_end.h"
#include "supervise/nbd_probe.h"
#include "supervise/readiness.h"
#include "vnvram/result.h"

namespace vnvram {

/// Starts the owner, then the front ends, each with a socket that is its session; starts again who
/// dies, and gives the others sessions of an owner that has come. It reads nothing that comes from
/// a guest, an image or a client.
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
  using Clock = std::chrono::steady_clock;

  /// One of them: as it is now.
  struct Part {
    const FrontEnd* front_end = nullptr; ///< None: it is the owner.
    std::optional<ChildProcess> process;
    UniqueFd channel; ///< Over which it gets its sockets.
    std::optional<NbdProbe> probe;
    bool is_ready = false;
    Clock::time_point started_at;
    unsigned failures_in_a_row = 0;             ///< Not ready before it died.
    std::optional<Clock::time_point> starts_at; ///< When it has died.
  };

  [[nodiscard]] static std::string name_of(const Part& part);
  Status start(Part& part);
  Status start_what_is_due();
  void give_session(Part& part);
  void became_ready(Part& part);
  void note_ready();
  Status poll();
  void take_signal();
  Status handle_death(Part& part);
  void begin_end();
  [[nodiscard]] bool is_over() const;
  void end_owner_if_alone();

  const Setup setup_;
  const Readiness readiness_;
  Part owner_;
  std::list<Part> parts_;
  bool was_ready_ = false; ///< All of them.
  bool was_owner_ready_ = false;
  bool ends_ = false;
  bool owner_is_asked_ = false; ///< To end.
  int exit_code_ = 0;
};

} // namespace vnvram
