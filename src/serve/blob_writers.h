// Which session writes which blob.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "owner/watch.h"

namespace vnvram {

/// The right to write a blob is one session's at a time: it takes it with its first change of the
/// blob, or when a device claims it, and has it until it ends or claims others. Threads: any.
class BlobWriters {
public:
  struct Holder {
    std::string blob;
    std::uint64_t session = 0;
  };
  /// All of them; or none, and which other session has one of them.
  [[nodiscard]] std::optional<Holder> take(const std::vector<std::string>& blobs,
                                           std::uint64_t session);
  /// As take(), and the session gives up what else it had.
  [[nodiscard]] std::optional<Holder> take_only(const std::vector<std::string>& blobs,
                                                std::uint64_t session);
  /// At the session's end.
  void give_up(std::uint64_t session);
  /// A blob that is gone is nobody's.
  void forget(std::string_view blob);
  /// Those of the session, in the order of their names.
  [[nodiscard]] std::vector<std::string> blobs_of(std::uint64_t session) const;
  /// Told when a session has given up what it had. A watcher must not take anything.
  [[nodiscard]] Watch<>& given_up() { return given_up_; }

private:
  std::optional<Holder> take_locked(const std::vector<std::string>& blobs, std::uint64_t session);

  Watch<> given_up_;
  mutable std::mutex mutex_;
  std::map<std::string, std::uint64_t, std::less<>> sessions_; ///< By blob.
};

} // namespace vnvram
