// Notices that blobs, or the space for them, get close to full.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "client/owner_event.h"
#include "serve/fill_level.h"
#include "vnvram/store.h"
#include "vnvram/transaction.h"

namespace vnvram {

/// Looks when something was changed, and never by itself. A blob that is written as a whole, as a
/// TPM's are, has a size that says how much is in it; one that is written by ranges is the memory
/// of a device, is as large as what was written last, and tells nothing: it is left alone, and so
/// is one that was written once, in full. Of UEFI variables the space is looked at in which they
/// are, but not more often than every ten seconds.
///
/// Threads: any.
class FullnessWatch {
public:
  using Tell = std::function<void(const NearlyFull&)>;

  /// The clock outlives it. `tell` is called on the thread that looks.
  FullnessWatch(Clock& clock, Tell tell) : clock_(clock), tell_(std::move(tell)) {}
  FullnessWatch(const FullnessWatch&) = delete;
  FullnessWatch& operator=(const FullnessWatch&) = delete;

  /// What there is already: from here on it grows.
  void begin(const Store& store);
  /// Behind a transaction that was committed.
  void blobs_changed(const Store& store, const Transaction& transaction);
  /// When what was written before is durable.
  void variables_may_have_changed(Store& store);
  /// Behind a change of the directory.
  void directory_changed(const Store& store);

private:
  struct Variables {
    std::optional<FillLevel> level; ///< Since the first look.
    std::uint64_t generation = 0;   ///< That was looked at last.
  };

  void look_at(const BlobInfo& blob);
  void look_at_variables(Store& store, const BlobInfo& blob);
  /// Those that were written since they were looked at; none if that is not long ago.
  std::vector<std::string> variables_due(const Store& store);
  void note_blobs_with_variables(const std::vector<BlobInfo>& blobs);

  Clock& clock_;
  const Tell tell_;
  std::mutex mutex_;
  std::optional<FillLevel> space_;
  std::map<std::string, FillLevel, std::less<>> blobs_;
  std::map<std::string, Variables, std::less<>> variables_;
  Clock::Time next_look_at_variables_{};
};

} // namespace vnvram
