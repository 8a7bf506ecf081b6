#include "serve/blobs_service.h"

#include <algorithm>
#include <string>
#include <utility>

#include <fmt/core.h>

#include "rpc/wire.h"
#include "serve/request_lists.h"
#include "serve/shared_blobs.h"

namespace vnvram {
namespace {

// What a session may have waiting at once.
constexpr std::size_t narrowed_max = 64;

// For one answer, at an image that is another host's and changes there.
constexpr int looks_max = 50;

// Since Cap'n Proto 1.0 that is the schema's to say, and here it makes no great difference: a
// session takes its calls along when it ends.
template <typename Context> void allow_cancellation(Context& context) {
  if constexpr (requires { context.allowCancellation(); }) {
    context.allowCancellation();
  }
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

} // namespace

kj::Promise<void> BlobsService::state(StateContext context) {
  auto results = context.getResults();
  results.setLastEvent(session_.owner.events.last());
  const Result<ImageState> state = seen_state();
  if (state) {
    auto written = results.initState();
    write_state(written, *state);
    written.setSealed(state->sealed || session_.owner.hand_over.was_said());
  } else {
    answer(context, state.error());
  }
  return kj::READY_NOW;
}

kj::Promise<void> BlobsService::list(ListContext context) {
  see_image();
  Result<std::vector<BlobInfo>> blobs = session_.client.blobs();
  if (!blobs) {
    answer(context, blobs.error());
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
  see_image();
  const Result<BlobInfo> blob =
      scope_.reads(name) ? session_.client.blob(name) : Scope::not_there(name);
  if (blob) {
    write_info(context.getResults().initInfo(), *blob);
  } else {
    answer(context, blob.error());
  }
  return kj::READY_NOW;
}

Result<StoreUse> BlobsService::settled_store() {
  Result<StoreUse> store = session_.owner.keeper.use(StoreGate::Purpose::read_together);
  if (!store || is_elsewhere()) {
    return store;
  }
  Status flushed = (*store)->flush();
  return flushed ? std::move(store) : Result<StoreUse>(flushed.error());
}

Result<std::vector<std::vector<std::byte>>>
BlobsService::read_all_of(capnp::List<rpc::Range>::Reader ranges, bool settled) {
  if (Status fits = check_count(ranges.size()); !fits) {
    return fits.error();
  }
  for (const auto range : ranges) {
    if (const std::string blob = to_string(range.getBlob()); !scope_.reads(blob)) {
      return Scope::not_there(blob);
    }
  }
  using Purpose = StoreGate::Purpose;
  Result<StoreUse> store =
      settled
          ? settled_store()
          : session_.owner.keeper.use(ranges.size() > 1 ? Purpose::read_together : Purpose::read);
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
  const auto asked = context.getParams();
  see_image();
  auto contents = read_all_of(asked.getRanges(), asked.getSettled());
  for (int looks = 0; !contents && looks < looks_max && sees_anew(contents.error()); ++looks) {
    contents = read_all_of(asked.getRanges(), asked.getSettled());
  }
  if (!contents) {
    answer(context, contents.error());
    return kj::READY_NOW;
  }
  auto list = context.getResults().initContents(static_cast<unsigned>(contents->size()));
  for (unsigned index = 0; index < list.size(); ++index) {
    list.set(index, to_data((*contents)[index]));
  }
  return kj::READY_NOW;
}

kj::Promise<void> BlobsService::change(ChangeContext context) {
  // Read when its turn comes, and once: each reading counts for the limit of what is read of it.
  return session_.changes.run([this, context, transaction = std::optional<Result<Transaction>>()](
                                  Result<StoreUse>& store) mutable {
    const auto asked = context.getParams();
    if (!transaction) {
      const Status fits = check_count(asked.getUpdates().size());
      transaction = fits ? read_updates(asked.getUpdates()) : fits.error();
    }
    std::optional<Status> done =
        !store          ? Status(store.error())
        : !*transaction ? Status(transaction->error())
                        : changes_.carry_out(**store, **transaction, asked.getDeferred());
    if (!done) {
      return false;
    }
    if (*done) {
      context.getResults().setGeneration((*store)->info().generation);
    }
    answer(context, *done);
    return true;
  });
}

kj::Promise<void> BlobsService::openLane(OpenLaneContext context) {
  answer(context, session_.lane.open(changes_));
  return kj::READY_NOW;
}

kj::Promise<void> BlobsService::flush(FlushContext context) {
  if (session_.owner.shared != nullptr && session_.owner.shared->has_all()) {
    return kj::READY_NOW;
  }
  const Status flushed = session_.client.flush();
  answer(context, flushed);
  if (!flushed) {
    return kj::READY_NOW;
  }
  if (Result<StoreUse> store = session_.owner.keeper.use(StoreGate::Purpose::read); store) {
    session_.owner.fullness.variables_may_have_changed(**store);
  }
  return kj::READY_NOW;
}

std::optional<Status> BlobsService::carry_out(Store& store, const std::vector<NewBlob>& blobs) {
  std::vector<std::string> written;
  for (const NewBlob& blob : blobs) {
    if (!scope_.registers(blob.spec.name)) {
      return Error(ErrorKind::read_only,
                   blob.spec.name + ": this session may not register a blob of this name");
    }
    if (session_.owner.shared != nullptr) {
      if (Status may = check_shared_blob(session_.owner.location, blob.spec.name, blob.spec.type);
          !may) {
        return may;
      }
    }
    if (blob.content) {
      written.push_back(blob.spec.name);
    }
  }
  std::optional<Status> done = changes_.take_right_to(written);
  if (!done || !*done) {
    return done;
  }
  *done = store.register_blobs(std::span(blobs));
  if (*done) {
    session_.owner.fullness.directory_changed(store);
  }
  if (!*done) {
    changes_.give_up_absent(store, written);
  }
  return done;
}

kj::Promise<void> BlobsService::register_(RegisterContext context) {
  // As a change.
  return session_.changes.run(
      [this, context,
       blobs = std::optional<Result<std::vector<NewBlob>>>()](Result<StoreUse>& store) mutable {
        if (!blobs) {
          blobs = read_new_blobs(context.getParams().getBlobs());
        }
        std::optional<Status> done = !store    ? Status(store.error())
                                     : !*blobs ? Status(blobs->error())
                                               : carry_out(**store, **blobs);
        if (!done) {
          return false;
        }
        answer(context, *done);
        return true;
      });
}

void BlobsService::write_news(const Watchers::Heard& heard, rpc::Blobs::WatchResults::Builder to) {
  EventLog::Events news = session_.owner.events.since(heard.event);
  std::erase_if(news.events, [this](const OwnerEvent& event) {
    const auto* full = std::get_if<NearlyFull>(&event);
    return full != nullptr && !full->blob.empty() && !scope_.reads(full->blob);
  });
  const std::uint64_t generation = session_.owner.image.generation();
  if (heard.generation != no_generation && generation != no_generation &&
      generation != heard.generation) {
    news.events.emplace_back(GenerationReached{generation});
  }
  auto list = to.initEvents(static_cast<unsigned>(news.events.size()));
  for (unsigned index = 0; index < list.size(); ++index) {
    write_event(list[index], news.events[index]);
  }
  to.setLast(news.last);
}

kj::Promise<void> BlobsService::watch(WatchContext context) {
  const auto asked = context.getParams();
  const Watchers::Heard heard{.event = asked.getAfter(),
                              .generation = asked.getOtherThanGeneration()};
  auto news = session_.watchers.wait_for_news(heard);
  if (!news) {
    answer(context, Error(ErrorKind::in_use, "this session waits for events often enough already"));
    return kj::READY_NOW;
  }
  allow_cancellation(context);
  return news->then([this, context, heard]() mutable { write_news(heard, context.getResults()); });
}

kj::Promise<void> BlobsService::narrow(NarrowContext context) {
  const auto grants = context.getParams().getGrants();
  const std::shared_ptr<std::size_t> count = session_.narrowed_count;
  Status may = check_count(grants.size());
  if (may && *count >= narrowed_max) {
    may = Error(ErrorKind::in_use, "this session has narrowed its rights often enough already",
                "let go of those that are not used");
  }
  if (may) {
    ++*count;
    auto narrower = kj::heap<BlobsService>(session_, scope_.narrowed(read_grants(grants)));
    context.getResults().setBlobs(narrower.attach(kj::defer([count] { --*count; })));
  }
  answer(context, may);
  return kj::READY_NOW;
}

} // namespace vnvram
