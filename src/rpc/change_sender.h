// How the changes of a session get to the image's owner.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <string_view>
#include <utility>

#include "client/blob_client.h"
#include "rpc/kept_changes.h"
#include "rpc/lasting_link.h"
#include "vnvram/result.h"
#include "vnvram/transaction.h"

namespace vnvram {

/// Each waits for its answer, but for the deferred ones that can be posted (KeptChanges::post());
/// what is posted and not taken comes before all that follows.
///
/// Threads: any.
class ChangeSender {
public:
  /// Both outlive it. `tell` hears of posted changes that were not taken; it must not call this.
  ChangeSender(KeptChanges& kept, LastingLink& link, std::function<void(const Error&)> tell)
      : kept_(kept), link_(link), tell_(std::move(tell)) {}
  ChangeSender(const ChangeSender&) = delete;
  ChangeSender& operator=(const ChangeSender&) = delete;

  /// Waits for the generation. Errors: those of the owner, too_large, why the connection was given
  /// up.
  Result<std::uint64_t> change(const Transaction& transaction, bool deferred);
  /// Of ranges. The same; it is posted if that can be.
  Status write_range(const Transaction& transaction, Durability durability);
  /// All that has returned is durable when it returns. Errors: as change().
  Status flush();

  /// Until all that was posted before has an answer. Errors: the connection was given up.
  Status wait_for_posted();
  /// Until readers of the blob find all that was posted to it before. What fails there is no older
  /// content instead. Errors: as settle().
  Status settle(std::string_view blob);
  /// As wait_for_posted(), and what was not taken is asked for once more. Errors: why it is not.
  Status settle();

  /// On a new connection, before anything else is asked: what the lost one may have lost.
  Status repeat_on(OwnerLink& link);

private:
  /// False: it has to be waited for.
  bool post(const Transaction& transaction);
  void take_posted_answer(std::uint64_t posted, const Result<std::uint64_t>& answer);
  Status wait_for_posted(std::uint64_t last);
  /// Asks once more for what was posted and not taken. Errors: why it is not taken.
  Status repair();

  KeptChanges& kept_;
  LastingLink& link_;
  const std::function<void(const Error&)> tell_;
  std::mutex repair_mutex_; ///< Held while it is done.
};

} // namespace vnvram
