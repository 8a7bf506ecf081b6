// What a session changes, with the rights that it has.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "serve/scope.h"
#include "vnvram/result.h"
#include "vnvram/store.h"
#include "vnvram/transaction.h"

namespace vnvram {

struct SessionParts;

/// Carries out the changes of one session within a scope. A blob that the scope does not name is
/// answered as one that does not exist.
///
/// Threads: the session's.
class SessionChanges {
public:
  /// The session outlives it.
  SessionChanges(SessionParts& session, Scope scope)
      : session_(session), scope_(std::move(scope)) {}

  /// Durable on return, unless it is deferred. Nothing: it has to wait for the right to write.
  /// Errors: those of Store::commit(); not_found, read_only (the scope's), in_use.
  std::optional<Status> carry_out(Store& store, const Transaction& transaction, bool deferred);

  /// The right to write these blobs. Nothing: it has to be waited for, because who has it is about
  /// to end. Errors: in_use.
  enum class Right { these_too, only_these };
  std::optional<Status> take_right_to(const std::vector<std::string>& blobs,
                                      Right right = Right::these_too);
  /// Of those that it has the right to: nobody writes what is not there.
  void give_up_absent(const Store& store, const std::vector<std::string>& blobs);

private:
  [[nodiscard]] Status allows(const Transaction& transaction) const;
  /// With the seal taken off, if the machine has come here.
  [[nodiscard]] Status make(Store& store, const Transaction& transaction, bool deferred);
  /// A machine that has come runs here: its image is not sealed any more. False: it is.
  bool lifts_seal(Store& store);
  void note_success(Store& store, const Transaction& transaction, bool deferred);

  SessionParts& session_;
  Scope scope_;
};

} // namespace vnvram
