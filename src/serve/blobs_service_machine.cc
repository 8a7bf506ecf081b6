// BlobsService: whose machine it is.
#include <string>
#include <utility>

#include <fmt/core.h>

#include "rpc/wire.h"
#include "serve/blobs_service.h"
#include "serve/request_lists.h"

namespace vnvram {

Status BlobsService::may_change_anything() const {
  return scope_.changes_anything() ? Status()
                                   : Error(ErrorKind::read_only, "this session may only read");
}

std::optional<Status> BlobsService::claim(Store& store, const std::vector<std::string>& blobs) {
  std::vector<std::string> written;
  for (const std::string& blob : blobs) {
    if (!scope_.reads(blob) || !store.blob(blob)) {
      return Error(ErrorKind::not_found, fmt::format("{}: there is no such blob", blob));
    }
    if (scope_.writes(blob)) {
      written.push_back(blob);
    }
  }
  std::optional<Status> done = changes_.take_right_to(written, SessionChanges::Right::only_these);
  if (!done || !*done) {
    return done;
  }
  if (!written.empty()) {
    session_.owner.hand_over.begin_use(session_.number);
    return done;
  }
  session_.owner.hand_over.end_use(session_.number);
  return seal_if_due(store);
}

// It changes nothing of an image, so it need not wait for one.
kj::Promise<void> BlobsService::claim(ClaimContext context) {
  auto act = [this, context](Result<StoreUse>& store) mutable {
    const auto named = context.getParams().getBlobs();
    std::optional<Status> done = store ? check_count(named.size()) : Status(store.error());
    if (*done) {
      std::vector<std::string> blobs;
      for (const auto blob : named) {
        blobs.push_back(to_string(blob));
      }
      done = claim(**store, blobs);
    }
    if (!done) {
      return false;
    }
    answer(context, *done);
    return true;
  };
  if (is_shared_and_waits() && context.getParams().getBlobs().size() == 0) {
    session_.owner.hand_over.end_use(session_.number);
    session_.owner.writers.give_up(session_.number);
    return kj::READY_NOW;
  }
  if (is_shared_and_waits()) {
    see_image();
    Result<StoreUse> store = session_.owner.keeper.use(StoreGate::Purpose::read);
    if (act(store)) {
      return kj::READY_NOW;
    }
  }
  return session_.changes.run(kj::mv(act));
}

Status BlobsService::seal_if_due(Store& store) {
  return session_.owner.hand_over.is_due() ? store.seal() : Status();
}

kj::Promise<void> BlobsService::handOver(HandOverContext context) {
  return session_.changes.run([this, context](Result<StoreUse>& store) mutable {
    Status done = store ? may_change_anything() : Status(store.error());
    if (done) {
      session_.owner.hand_over.say(session_.number);
      done = seal_if_due(**store);
    }
    if (done) {
      context.getResults().setSealed((*store)->info().sealed);
    }
    answer(context, done);
    return true;
  });
}

kj::Promise<void> BlobsService::takeBack(TakeBackContext context) {
  if (is_shared_and_waits()) {
    Status done = may_change_anything();
    if (done) {
      done = session_.owner.holds.in_turn([this] { return session_.owner.shared->begin(); });
    }
    answer(context, done);
    return kj::READY_NOW;
  }
  if (is_shared_and_goes_on()) { // Who asks may have had no answer, and waits for no hold.
    answer(context, may_change_anything());
    return kj::READY_NOW;
  }
  return session_.changes.run([this, context](Result<StoreUse>& store) mutable {
    Status done = store ? may_change_anything() : Status(store.error());
    if (done) {
      session_.owner.hand_over.take_back(session_.number);
      done = (*store)->unseal();
    }
    answer(context, done);
    return true;
  });
}

kj::Promise<void> BlobsService::lookAgain(LookAgainContext context) {
  const Status may = may_change_anything();
  if (may && session_.owner.shared != nullptr) {
    answer(context,
           session_.owner.holds.in_turn([this] { return session_.owner.shared->check_ours(); }));
    return kj::READY_NOW;
  }
  const Result<bool> changed = may ? session_.owner.holds.look_again() : may.error();
  if (changed) {
    context.getResults().setChanged(*changed);
  }
  answer(context, changed ? Status() : changed.error());
  return kj::READY_NOW;
}

} // namespace vnvram
