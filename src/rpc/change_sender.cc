#include "rpc/change_sender.h"

#include <utility>

#include <fmt/core.h>

#include "rpc/blob_requests.h"
#include "rpc/wire.h"

namespace vnvram {

Status ChangeSender::write_range(const Transaction& transaction, Durability durability) {
  const bool deferred = durability == Durability::deferred;
  if (deferred && post(transaction)) {
    return {};
  }
  const auto changed = change(transaction, deferred);
  return changed ? Status() : changed.error();
}

bool ChangeSender::post(const Transaction& transaction) {
  const Result<LastingLink::Link> link = link_.current();
  if (!link) {
    return false;
  }
  std::optional<std::uint64_t> posted;
  const auto begun = [&]() -> LaneCalls::Answered {
    posted = kept_.post(transaction);
    if (!posted) {
      return {};
    }
    return [this, number = *posted](const auto& answer) { take_posted_answer(number, answer); };
  };
  const bool has_gone = (*link)->post({.transaction = transaction, .begun = begun});
  if (posted && !has_gone) {
    kept_.take_back(*posted);
  }
  return has_gone;
}

// Whoever asked for it has heard that it is done.
void ChangeSender::take_posted_answer(std::uint64_t posted, const Result<std::uint64_t>& answer) {
  kept_.take_posted_answer(posted, answer);
  if (!answer) {
    tell_(answer.error());
  }
}

// Those of other threads that come meanwhile are not waited for.
Status ChangeSender::wait_for_posted() {
  return wait_for_posted(kept_.last_posted());
}

Status ChangeSender::wait_for_posted(std::uint64_t last) {
  if (kept_.are_answered(last)) {
    return {};
  }
  Result<LastingLink::Link> link = link_.current();
  while (link && !(*link)->wait_for([&] { return kept_.are_answered(last); })) {
    link = link_.next(*link);
  }
  return link ? Status() : link.error();
}

Status ChangeSender::settle(std::string_view blob) {
  Status done = wait_for_posted(kept_.last_posted(blob));
  return !done || kept_.failure(blob) ? done : repair();
}

Status ChangeSender::settle() {
  Status done = wait_for_posted();
  return done ? repair() : done;
}

// On this connection alone: on another one it is repeated before anything else, and then this is
// older than what comes behind it. Before that all have their answers that were posted before the
// failure was known: it is not to be made behind one of them by itself.
Status ChangeSender::repair() {
  if (kept_.failure()) {
    return {};
  }
  const std::lock_guard lock(repair_mutex_);
  if (Status answered = wait_for_posted(); !answered) {
    return answered;
  }
  Result<LastingLink::Link> link = link_.current();
  while (link && !kept_.failure()) {
    const Transaction missing = kept_.to_repeat();
    const auto made = (*link)->try_to_ask<std::uint64_t>(
        [&missing](rpc::Owner::Client& owner) { return request_change(owner, missing, false); });
    if (made && !*made) {
      return made->error();
    }
    if (made) {
      kept_.repeated(**made);
    } else {
      link = link_.next(*link);
    }
  }
  return link ? Status() : link.error();
}

Result<std::uint64_t> ChangeSender::change(const Transaction& transaction, bool deferred) {
  const std::uint64_t size_bytes = size_bytes_of(transaction);
  if (size_bytes > blob_size_max_bytes) {
    return Error(ErrorKind::too_large,
                 fmt::format("a transaction of {} bytes is more than an owner can be asked for, {}",
                             size_bytes, blob_size_max_bytes));
  }
  if (const Status repaired = repair(); !repaired) {
    return repaired.error();
  }
  KeptChanges::Call call{.transaction = transaction, .deferred = deferred};
  Result<LastingLink::Link> link = link_.current();
  while (link) {
    const auto made = (*link)->try_to_change(
        {.transaction = transaction,
         .begun =
             [&] {
               kept_.send(call);
               return call.deferred;
             },
         .answered =
             [&](const Result<std::uint64_t>& answer) { kept_.take_answer(call, answer); }});
    if (made) {
      kept_.take_answer(call, *made); // If it was none of the owner's own.
      return kept_.answer_of(call).value_or(*made);
    }
    link = link_.next(*link);
    if (const auto answer = kept_.answer_of(call)) { // It was repeated meanwhile.
      return *answer;
    }
  }
  kept_.forget(call);
  return link.error();
}

Status ChangeSender::flush() {
  if (Status taken = settle(); !taken) {
    return taken;
  }
  std::uint64_t answered_count = 0;
  const Status flushed = link_.ask<void>([&](rpc::Owner::Client& owner) {
    answered_count = kept_.answered_count();
    return owner.flushRequest().send().then([](auto&& answer) { return take_status(answer); });
  });
  if (flushed) {
    kept_.are_durable(answered_count);
  }
  return flushed;
}

// What was answered is one transaction: no power cut in between leaves an older state on the image
// than there was. The rest one after the other, each when the one before it is durable: so nothing
// of it has to be kept.
Status ChangeSender::repeat_on(OwnerLink& link) {
  for (;;) {
    if (const Transaction answered = kept_.to_repeat(); !answered.empty()) {
      const auto made = link.ask<std::uint64_t>(
          [&](rpc::Owner::Client& owner) { return request_change(owner, answered, false); });
      if (!made) {
        return made.error();
      }
      kept_.repeated(*made);
    }
    KeptChanges::Call* const call = kept_.unanswered();
    if (call == nullptr) {
      return {};
    }
    const auto made = link.try_to_ask<std::uint64_t>([call](rpc::Owner::Client& owner) {
      return request_change(owner, call->transaction, false);
    });
    if (!made) {
      return link.loss();
    }
    kept_.take_answer(*call, *made, KeptChanges::Made::durable);
  }
}

} // namespace vnvram
