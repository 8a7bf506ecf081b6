#include "serve/blobs_service.h"

#include <algorithm>
#include <string>
#include <utility>

#include <fmt/core.h>

#include "rpc/wire.h"

namespace vnvram {
namespace {

// What a session may have waiting at once.
constexpr std::size_t watchers_max = 8;

Error not_there(std::string_view blob) {
  return {ErrorKind::not_found, fmt::format("{}: there is no such blob", blob)};
}

template <typename Context> void answer(Context& context, const Status& status) {
  if (!status) {
    write_failure(context.getResults().initFailure(), status.error());
  }
}

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

Result<std::vector<std::byte>> read_range(Store& store, rpc::Range::Reader range) {
  const std::string blob = to_string(range.getBlob());
  if (range.isWhole()) {
    return store.read(blob);
  }
  if (!range.isPart()) {
    return Error(ErrorKind::unsupported, "a range of a kind that this owner does not know");
  }
  const auto part = range.getPart();
  if (part.getLengthBytes() > blob_size_max_bytes) {
    return Error(ErrorKind::too_large, blob + ": no blob is as large as what was asked for");
  }
  std::vector<std::byte> bytes(part.getLengthBytes());
  if (Status read = store.read_range(blob, part.getOffsetBytes(), bytes); !read) {
    return read.error();
  }
  return bytes;
}

std::vector<NewBlob> read_new_blobs(capnp::List<rpc::NewBlob>::Reader from) {
  std::vector<NewBlob> blobs;
  for (const auto blob : from) {
    blobs.push_back({.spec = read_spec(blob.getSpec()), .content = std::nullopt});
    if (blob.hasContent()) {
      const auto content = to_span(blob.getContent());
      blobs.back().content.emplace(content.begin(), content.end());
    }
  }
  return blobs;
}

std::vector<Grant> read_grants(capnp::List<rpc::Grant>::Reader from) {
  std::vector<Grant> grants;
  for (const auto grant : from) {
    if (grant.isBlob() || grant.isPrefix()) {
      grants.push_back({.name = to_string(grant.isBlob() ? grant.getBlob() : grant.getPrefix()),
                        .is_prefix = grant.isPrefix(),
                        .writes = grant.getWrite(),
                        .registers = grant.getRegister()});
    }
  }
  return grants;
}

} // namespace

kj::Promise<void> BlobsService::state(StateContext context) {
  auto results = context.getResults();
  results.setLastEvent(session_.owner.events.last());
  const Result<ImageState> state = session_.client.state();
  if (state) {
    write_state(results.initState(), *state);
  } else {
    write_failure(results.initFailure(), state.error());
  }
  return kj::READY_NOW;
}

kj::Promise<void> BlobsService::list(ListContext context) {
  Result<std::vector<BlobInfo>> blobs = session_.client.blobs();
  if (!blobs) {
    write_failure(context.getResults().initFailure(), blobs.error());
    return kj::READY_NOW;
  }
  std::erase_if(*blobs, [this](const BlobInfo& blob) { return !scope_.reads(blob.name); });
  auto list = context.getResults().initBlobs(static_cast<unsigned>(blobs->size()));
  for (unsigned index = 0; index < list.size(); ++index) {
    write_info(list[index], (*blobs)[index]);
  }
  return kj::READY_NOW;
}

kj::Promise<void> BlobsService::info(InfoContext context) {
  const std::string name = to_string(context.getParams().getBlob());
  const Result<BlobInfo> blob = scope_.reads(name) ? session_.client.blob(name) : not_there(name);
  if (blob) {
    write_info(context.getResults().initInfo(), *blob);
  } else {
    write_failure(context.getResults().initFailure(), blob.error());
  }
  return kj::READY_NOW;
}

Result<std::vector<std::vector<std::byte>>>
BlobsService::read_all_of(capnp::List<rpc::Range>::Reader ranges) {
  for (const auto range : ranges) {
    if (const std::string blob = to_string(range.getBlob()); !scope_.reads(blob)) {
      return not_there(blob);
    }
  }
  using Purpose = StoreGate::Purpose;
  Result<StoreUse> store =
      session_.owner.keeper.use(ranges.size() > 1 ? Purpose::read_together : Purpose::read);
  if (!store) {
    return store.error();
  }
  std::vector<std::vector<std::byte>> contents;
  std::size_t size_bytes = 0;
  for (const auto range : ranges) {
    Result<std::vector<std::byte>> content = read_range(**store, range);
    if (!content) {
      return content.error();
    }
    size_bytes += content->size();
    if (size_bytes > blob_size_max_bytes) {
      return Error(ErrorKind::too_large, "more bytes than one message may have",
                   "ask for fewer at a time");
    }
    contents.push_back(*std::move(content));
  }
  return contents;
}

kj::Promise<void> BlobsService::read(ReadContext context) {
  const auto contents = read_all_of(context.getParams().getRanges());
  if (!contents) {
    write_failure(context.getResults().initFailure(), contents.error());
    return kj::READY_NOW;
  }
  auto list = context.getResults().initContents(static_cast<unsigned>(contents->size()));
  for (unsigned index = 0; index < list.size(); ++index) {
    list.set(index, to_data((*contents)[index]));
  }
  return kj::READY_NOW;
}

std::optional<Status> BlobsService::take_right_to(const std::vector<std::string>& blobs) {
  const auto holder = session_.owner.writers.take(blobs, session_.number);
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

Status BlobsService::allows(const Transaction& transaction) const {
  for (const Transaction::Update& update : transaction.updates()) {
    if (!scope_.reads(update.blob)) {
      return not_there(update.blob);
    }
    if (!scope_.writes(update.blob)) {
      return Error(ErrorKind::read_only, update.blob + ": this session may only read it");
    }
  }
  return {};
}

std::optional<Result<std::uint64_t>>
BlobsService::carry_out(Result<StoreUse>& store, rpc::Blobs::ChangeParams::Reader asked) {
  if (!store) {
    return store.error();
  }
  const Result<Transaction> transaction = read_updates(asked.getUpdates());
  if (!transaction) {
    return transaction.error();
  }
  Status done = allows(*transaction);
  if (done) {
    std::vector<std::string> blobs;
    for (const Transaction::Update& update : transaction->updates()) {
      blobs.push_back(update.blob);
    }
    std::optional<Status> has_right = take_right_to(blobs);
    if (!has_right) {
      return std::nullopt;
    }
    done = *std::move(has_right);
  }
  if (done && asked.getDeferred()) {
    for (const Transaction::Update& update : transaction->updates()) {
      done = defer(**store, update);
      if (!done) {
        break;
      }
    }
  } else if (done) {
    done = (*store)->commit(*transaction);
  }
  if (!done) {
    return done.error();
  }
  return (*store)->info().generation;
}

kj::Promise<void> BlobsService::change(ChangeContext context) {
  return session_.changes.run([this, context](Result<StoreUse>& store) mutable {
    const auto generation = carry_out(store, context.getParams());
    if (!generation) {
      return false;
    }
    if (*generation) {
      context.getResults().setGeneration(**generation);
    } else {
      write_failure(context.getResults().initFailure(), generation->error());
    }
    return true;
  });
}

kj::Promise<void> BlobsService::flush(FlushContext context) {
  answer(context, session_.client.flush());
  return kj::READY_NOW;
}

std::optional<Status> BlobsService::may_register(const std::vector<NewBlob>& blobs) {
  std::vector<std::string> written;
  for (const NewBlob& blob : blobs) {
    if (!scope_.registers(blob.spec.name)) {
      return Error(ErrorKind::read_only,
                   blob.spec.name + ": this session may not register a blob of this name");
    }
    if (blob.content) {
      written.push_back(blob.spec.name);
    }
  }
  return take_right_to(written);
}

kj::Promise<void> BlobsService::register_(RegisterContext context) {
  return session_.changes.run([this, context](Result<StoreUse>& store) mutable {
    const std::vector<NewBlob> blobs = read_new_blobs(context.getParams().getBlobs());
    std::optional<Status> done = may_register(blobs);
    if (!done) {
      return false;
    }
    if (*done) {
      done = store ? (*store)->register_blobs(std::span(blobs)) : store.error();
    }
    answer(context, *done);
    return true;
  });
}

kj::Promise<void> BlobsService::watch(WatchContext context) {
  const std::uint64_t after = context.getParams().getAfter();
  auto tell = [this, context, after]() mutable {
    const EventLog::Events events = session_.owner.events.since(after);
    auto results = context.getResults();
    auto list = results.initEvents(static_cast<unsigned>(events.failures.size()));
    for (unsigned index = 0; index < list.size(); ++index) {
      write_failure(list[index].initFailure(), events.failures[index]);
    }
    results.setLast(events.last);
  };
  if (session_.owner.events.last() > after) {
    tell();
    return kj::READY_NOW;
  }
  std::erase_if(session_.watchers,
                [](SessionParts::Watcher& watcher) { return !watcher.news->isWaiting(); });
  if (session_.watchers.size() >= watchers_max) {
    answer(context, Error(ErrorKind::in_use, "this session waits for events often enough already"));
    return kj::READY_NOW;
  }
  auto waits = kj::newPromiseAndFulfiller<void>();
  session_.watchers.push_back({after, kj::mv(waits.fulfiller)});
  context.allowCancellation();
  return waits.promise.then(kj::mv(tell));
}

kj::Promise<void> BlobsService::narrow(NarrowContext context) {
  Scope narrower = scope_.narrowed(read_grants(context.getParams().getGrants()));
  context.getResults().setBlobs(kj::heap<BlobsService>(session_, std::move(narrower)));
  return kj::READY_NOW;
}

} // namespace vnvram
