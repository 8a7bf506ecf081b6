// Copies a live image at random moments, and looks at every copy.
#pragma once

#include <cstdint>
#include <string>

#include "copies/committer.h"
#include "copies/copy_payload.h"
#include "support/random.h"

namespace vnvram::test {

enum class CopyMode {
  reflink, ///< One ioctl, by which a file system that can shares the blocks: atomic.
  stopped, ///< The writing process is stopped while the file is copied.
  slow,    ///< In steps, with commits in between: not a copy of any moment.
};

struct CopyOptions {
  std::string dir = ".";
  CopyMode mode = CopyMode::stopped;
  std::uint64_t count = 100;
  std::uint64_t seed = 1;
};

struct CopyResult {
  std::uint64_t copies = 0;
  std::uint64_t exact = 0;    ///< At one generation, between what was acknowledged and submitted.
  std::uint64_t refused = 0;  ///< Noticed as damaged: only a copy that is not atomic may be.
  std::uint64_t commits = 0;  ///< In all.
  std::uint64_t overlaps = 0; ///< Copies during which a commit was acknowledged.
  std::string failure;        ///< What went wrong, if anything did. The copy is kept then.
};

class CopyRun {
public:
  explicit CopyRun(CopyOptions options);
  /// Throws std::system_error if files cannot be made or copied.
  CopyResult run();

private:
  bool create();
  bool copy_and_look(Committer& committer);
  bool copy(Committer& committer);
  bool copy_slowly(Committer& committer) const;
  bool look(std::uint64_t at_least, std::uint64_t at_most);
  bool compare(const PayloadFound& found, std::uint64_t at_least, std::uint64_t at_most);
  bool refuse(const std::string& why);
  bool fail(const std::string& what);

  const CopyOptions options_;
  const std::string image_;
  const std::string copy_;
  Random random_;
  CopyResult result_;
};

} // namespace vnvram::test
