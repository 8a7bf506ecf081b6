// Which session writes which blob.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "vnvram/result.h"

namespace vnvram {

/// The right to write a blob is one session's at a time: it takes it with its first change of the
/// blob, and has it until it ends. Threads: any.
class BlobWriters {
public:
  /// All of them or, on an error, none. Errors: in_use (another session has one).
  Status take(const std::vector<std::string>& blobs, std::uint64_t session);
  /// Whether another session has it.
  [[nodiscard]] bool is_anothers(std::string_view blob, std::uint64_t session) const;
  /// At the session's end.
  void give_up(std::uint64_t session);
  /// A blob that is gone is nobody's.
  void forget(std::string_view blob);
  /// Those of the session, in the order of their names.
  [[nodiscard]] std::vector<std::string> blobs_of(std::uint64_t session) const;

private:
  mutable std::mutex mutex_;
  std::map<std::string, std::uint64_t, std::less<>> sessions_; ///< By blob.
};

} // namespace vnvram
