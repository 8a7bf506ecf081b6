// A process that commits as fast as it can while its image is copied.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include <sys/types.h>

namespace vnvram::test {

/// How far the process is. It lives in memory that both processes share, so that it is exact at any
/// moment, whatever happens to either.
struct CommitProgress {
  std::atomic<std::uint64_t> submitted = 0;    ///< The number that may be on the image.
  std::atomic<std::uint64_t> acknowledged = 0; ///< The number that must be.
  std::atomic<bool> end = false;               ///< Asks the process to close the image and end.
};

/// Started by the constructor, with commit 0 acknowledged. Gone when this object is, or when this
/// process is. Threads: one.
class Committer {
public:
  /// Forks: the program must not have threads yet. Throws std::system_error.
  explicit Committer(const std::string& image);
  Committer(const Committer&) = delete;
  Committer& operator=(const Committer&) = delete;
  ~Committer();

  [[nodiscard]] std::uint64_t submitted() const { return progress_->submitted; }
  [[nodiscard]] std::uint64_t acknowledged() const { return progress_->acknowledged; }
  /// Waits until it has acknowledged a commit of at least this number. False: it has failed.
  [[nodiscard]] bool wait_acknowledged(std::uint64_t number);
  /// SIGSTOP; none of its threads runs on return. False: it has ended.
  [[nodiscard]] bool pause();
  void go_on();
  /// Closes the image in good order. False: it failed, and has said on stderr why.
  [[nodiscard]] bool end();

private:
  struct Unmap {
    void operator()(CommitProgress* progress) const;
  };
  [[nodiscard]] bool ended();

  std::unique_ptr<CommitProgress, Unmap> progress_;
  pid_t process_ = -1;
  int status_ = 0; ///< Of the process, once it has ended.
};

} // namespace vnvram::test
