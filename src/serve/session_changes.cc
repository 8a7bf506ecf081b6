#include "serve/session_changes.h"

#include <fmt/core.h>

#include "serve/session_parts.h"

namespace vnvram {
namespace {

Status defer(Store& store, const Transaction::Update& update) {
  switch (update.action) {
  case Transaction::Action::write_range:
    return store.write_range_deferred(update.blob, update.offset_bytes, update.bytes);
  case Transaction::Action::zero_range:
    return store.zero_range_deferred(update.blob, update.offset_bytes, update.zero_length_bytes);
  case Transaction::Action::write:
  case Transaction::Action::set_size: break;
  }
  return Error(ErrorKind::invalid_argument, update.blob + ": only ranges can be deferred");
}

Status commit_or_defer(Store& store, const Transaction& transaction, bool deferred) {
  if (!deferred) {
    return store.commit(transaction);
  }
  for (const Transaction::Update& update : transaction.updates()) {
    if (Status done = defer(store, update); !done) {
      return done;
    }
  }
  return {};
}

} // namespace

std::optional<Status> SessionChanges::take_right_to(const std::vector<std::string>& blobs,
                                                    Right right) {
  BlobWriters& writers = session_.owner.writers;
  const auto holder = right == Right::only_these ? writers.take_only(blobs, session_.number)
                                                 : writers.take(blobs, session_.number);
  if (!holder) {
    return Status();
  }
  if (session_.owner.sessions.is_ending(holder->session)) {
    return std::nullopt;
  }
  return Error(ErrorKind::in_use,
               fmt::format("{}: session {} of the image's owner writes this blob", holder->blob,
                           holder->session),
               "stop the device that it belongs to");
}

void SessionChanges::give_up_absent(const Store& store, const std::vector<std::string>& blobs) {
  for (const std::string& blob : blobs) {
    if (!store.blob(blob)) {
      session_.owner.writers.forget(blob);
    }
  }
}

Status SessionChanges::allows(const Transaction& transaction) const {
  for (const Transaction::Update& update : transaction.updates()) {
    if (!scope_.reads(update.blob)) {
      return Scope::not_there(update.blob);
    }
    if (!scope_.writes(update.blob)) {
      return Error(ErrorKind::read_only, update.blob + ": this session may only read it");
    }
  }
  return {};
}

std::optional<Status> SessionChanges::carry_out(Store& store, const Transaction& transaction,
                                                bool deferred) {
  if (Status allowed = allows(transaction); !allowed) {
    return allowed;
  }
  std::vector<std::string> blobs;
  for (const Transaction::Update& update : transaction.updates()) {
    blobs.push_back(update.blob);
  }
  std::optional<Status> done = take_right_to(blobs);
  if (!done || !*done) {
    return done;
  }
  *done = make(store, transaction, deferred);
  if (*done) {
    note_success(store, transaction, deferred);
  } else {
    give_up_absent(store, blobs);
  }
  return done;
}

Status SessionChanges::make(Store& store, const Transaction& transaction, bool deferred) {
  Status done = commit_or_defer(store, transaction, deferred);
  if (!done && done.error().kind() == ErrorKind::sealed && lifts_seal(store)) {
    done = commit_or_defer(store, transaction, deferred);
  }
  return done;
}

bool SessionChanges::lifts_seal(Store& store) {
  if (!session_.owner.hand_over.is_expected() || !session_.owner.hand_over.uses(session_.number)) {
    return false;
  }
  session_.owner.hand_over.take_back(session_.number);
  return store.unseal().ok();
}

void SessionChanges::note_success(Store& store, const Transaction& transaction, bool deferred) {
  if (session_.owner.hand_over.is_expected() && session_.owner.hand_over.uses(session_.number)) {
    session_.owner.hand_over.has_come(); // Once: what comes after it was not announced.
  }
  if (!deferred) {
    session_.owner.fullness.blobs_changed(store, transaction);
    session_.owner.fullness.variables_may_have_changed(store);
  }
}

} // namespace vnvram
