#include "serve/owner_service.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include <fmt/core.h>

#include "rpc/wire.h"
#include "serve/metrics_text.h"

namespace vnvram {
namespace {

constexpr std::chrono::milliseconds hold_max = std::chrono::hours(1);
// A session that has not come to it by then waits for the device, or for another hold.
constexpr std::chrono::milliseconds roundup_max = std::chrono::seconds(10);

} // namespace

kj::Promise<void> OwnerService::status(StatusContext context) {
  const OwnerParts& owner = session_.owner;
  auto status = context.getResults().initStatus();
  status.setLocation(owner.location);
  status.setPid(::getpid());
  status.setHeld(owner.keeper.is_held());
  if (const Result<ImageState> state = seen_state(); state) {
    status.setAttached(true);
    auto written = status.initState();
    write_state(written, *state);
    written.setSealed(state->sealed || owner.hand_over.was_said());
  }
  if (owner.shared != nullptr && owner.shared->is_seen_only()) {
    const auto let_go = owner.holds.in_turn([&owner] { return owner.shared->let_go_for(); });
    if (let_go) {
      status.setLetGo(to_data(let_go->bytes));
    }
    status.setGoneOn(owner.shared->standing() == SharedImage::Standing::gone);
  }
  if (const auto exchange = owner.header.rotation_under_way(); exchange) {
    auto progress = status.initKeyExchange();
    progress.setDoneBytes(exchange->done_bytes);
    progress.setAllBytes(exchange->all_bytes);
  }
  if (Result<StoreUse> store = owner.keeper.use(StoreGate::Purpose::read); store) {
    if (const std::optional<Error> refusal = (*store)->info().poisoned; refusal) {
      write_failure(status.initRefusal(), *refusal);
    }
  }
  const std::vector<Peer> peers = owner.sessions.peers();
  auto sessions = status.initSessions(static_cast<unsigned>(peers.size()));
  for (unsigned index = 0; index < sessions.size(); ++index) {
    const Peer& peer = peers[index];
    sessions[index].setNumber(peer.session);
    sessions[index].setPid(peer.pid);
    sessions[index].setUid(peer.uid);
    sessions[index].setDevice(peer.device);
    const std::vector<std::string> blobs = owner.writers.blobs_of(peer.session);
    auto writes = sessions[index].initWrites(static_cast<unsigned>(blobs.size()));
    for (unsigned blob = 0; blob < writes.size(); ++blob) {
      writes.set(blob, blobs[blob]);
    }
  }
  return kj::READY_NOW;
}

kj::Promise<void> OwnerService::hold(HoldContext context) {
  const std::chrono::milliseconds duration(context.getParams().getDurationMs());
  HoldClock& holds = session_.owner.holds;
  if (!session_.owner.keeper.is_held()) {
    [[maybe_unused]] const bool have_all = session_.owner.roundup.run(session_.number, roundup_max);
  }
  const Result<std::uint64_t> number =
      duration.count() <= 0 || duration > hold_max
          ? Error(ErrorKind::invalid_argument, "a hold lasts 1 ms to 1 h", "say for how long")
      : context.getParams().getOnlyOne() ? holds.hold_alone(duration)
                                         : holds.hold(duration);
  if (number) {
    context.getResults().setNumber(*number);
  } else {
    answer(context, number.error());
  }
  return kj::READY_NOW;
}

kj::Promise<void> OwnerService::release(ReleaseContext context) {
  const std::uint64_t number = context.getParams().getNumber();
  context.getResults().setHeld(session_.owner.holds.release(
      number == 0 ? std::nullopt : std::optional<std::uint64_t>(number)));
  return kj::READY_NOW;
}

kj::Promise<void> OwnerService::image(ImageContext context) {
  Result<StoreUse> store = session_.owner.keeper.use(StoreGate::Purpose::read);
  if (store) {
    write_image_info(context.getResults().initImage(), (*store)->info());
  } else {
    write_failure(context.getResults().initFailure(), store.error());
  }
  return kj::READY_NOW;
}

kj::Promise<void> OwnerService::check(CheckContext context) {
  const Result<CheckReport> report = session_.owner.keeper.check();
  if (report) {
    write_report(context.getResults().initReport(), *report);
  } else {
    write_failure(context.getResults().initFailure(), report.error());
  }
  return kj::READY_NOW;
}

kj::Promise<void> OwnerService::changes(ChangesContext context) {
  const auto asked = context.getParams();
  const Result<Moment> moment = moment_since(
      asked.getAfter(), std::min(asked.getContentMaxBytes(), moment_content_max_bytes));
  if (moment) {
    write_moment(context.getResults().initMoment(), *moment);
  } else {
    write_failure(context.getResults().initFailure(), moment.error());
  }
  return kj::READY_NOW;
}

// Changers wait until it is done, which is why the contents are bounded.
Result<Moment> OwnerService::moment_since(std::uint64_t after, std::uint64_t content_max_bytes) {
  SharedImage* const shared = session_.owner.shared;
  if (shared != nullptr && shared->is_seen_only()) { // A copy of what was there once is no backup.
    const Status seen = session_.owner.holds.in_turn([&] { return shared->see_anew(); });
    if (!seen) {
      return seen.error();
    }
  }
  Result<StoreUse> store = settled_store();
  if (!store) {
    return store.error();
  }
  // Of an owner that was overtaken it would be what the image held once.
  const Result<bool> is_current =
      shared != nullptr && shared->is_seen_only() ? true : (*store)->is_current();
  if (!is_current || !*is_current) {
    return is_current ? Error(ErrorKind::stale,
                              session_.owner.location + ": somebody else has opened it since",
                              "ask the owner that has it")
                      : is_current.error();
  }
  Moment moment{.state = image_state((*store)->info()), .blobs = (*store)->blobs()};
  std::vector<const BlobInfo*> changed;
  std::uint64_t size_bytes = 0;
  for (const BlobInfo& blob : moment.blobs) {
    if (is_newer(blob, after)) {
      changed.push_back(&blob);
      size_bytes += blob.size_bytes;
    }
  }
  moment.complete = size_bytes <= content_max_bytes;
  for (const BlobInfo* blob : moment.complete ? changed : std::vector<const BlobInfo*>()) {
    Result<std::vector<std::byte>> content = (*store)->read(blob->name);
    if (!content) {
      return content.error();
    }
    moment.contents.emplace(blob->name, *std::move(content));
  }
  return moment;
}

kj::Promise<void> OwnerService::remove(RemoveContext context) {
  return session_.changes.run([this, context](Result<StoreUse>& store) mutable {
    const std::string blob = to_string(context.getParams().getBlob());
    std::optional<Status> removed = store ? changes_.take_right_to({blob}) : Status(store.error());
    if (!removed) {
      return false;
    }
    if (*removed) {
      *removed = (*store)->remove_blob(blob);
      changes_.give_up_absent(**store, {blob});
      session_.owner.fullness.directory_changed(**store);
    }
    answer(context, *removed);
    return true;
  });
}

kj::Promise<void> OwnerService::restart(RestartContext context) {
  if (session_.owner.restart) {
    session_.owner.restart();
  } else {
    answer(context, Error(ErrorKind::unsupported, "nothing would start this image's owner again",
                          "end it, and start it"));
  }
  return kj::READY_NOW;
}

kj::Promise<void> OwnerService::renewFrontEnds(RenewFrontEndsContext context) {
  FrontEndRenewal& front_ends = session_.owner.front_ends;
  auto waits = kj::newPromiseAndFulfiller<void>();
  if (Status begun = front_ends.begin(); !begun) {
    answer(context, begun);
    return kj::READY_NOW;
  }
  session_.front_ends_renewed = kj::mv(waits.fulfiller);
  return waits.promise.then([this, context, &front_ends]() mutable {
    answer(context, front_ends.outcome().value_or(Status()));
  });
}

kj::Promise<void> OwnerService::readDevice(ReadDeviceContext context) {
  const auto asked = context.getParams();
  const std::uint32_t length_bytes = asked.getLengthBytes();
  Result<StoreUse> store = session_.owner.keeper.use(StoreGate::Purpose::read);
  const Result<std::uint64_t> size =
      store ? (*store)->device().size_bytes() : Result<std::uint64_t>(store.error());
  if (!size) {
    write_failure(context.getResults().initFailure(), size.error());
    return kj::READY_NOW;
  }
  if (length_bytes > device_read_max_bytes || length_bytes % block_size_bytes != 0 ||
      asked.getOffsetBytes() % block_size_bytes != 0) {
    write_failure(context.getResults().initFailure(),
                  Error(ErrorKind::invalid_argument, "not whole blocks, or too many of them"));
    return kj::READY_NOW;
  }
  auto results = context.getResults();
  auto bytes = results.initBytes(length_bytes);
  const Status read =
      length_bytes == 0
          ? Status()
          : (*store)->device().read(asked.getOffsetBytes(),
                                    std::as_writable_bytes(std::span(bytes.begin(), bytes.size())));
  if (!read) {
    results.disownBytes();
    write_failure(results.initFailure(), read.error());
    return kj::READY_NOW;
  }
  results.setDeviceSizeBytes(*size);
  return kj::READY_NOW;
}

kj::Promise<void> OwnerService::metrics(MetricsContext context) {
  context.getResults().setText(metrics_text(session_.owner));
  return kj::READY_NOW;
}

kj::Promise<void> OwnerService::metadata(MetadataContext context) {
  const Result<PublicMetadata> found = session_.owner.header.metadata();
  if (!found) {
    write_failure(context.getResults().initFailure(), found.error());
    return kj::READY_NOW;
  }
  auto entries = context.getResults().initEntries(static_cast<unsigned>(found->size()));
  unsigned index = 0;
  for (const auto& [name, value] : *found) {
    entries[index].setName(name);
    entries[index].setValue(to_data(std::as_bytes(std::span(value))));
    ++index;
  }
  return kj::READY_NOW;
}

kj::Promise<void> OwnerService::changeMetadata(ChangeMetadataContext context) {
  const auto asked = context.getParams();
  std::optional<std::string> value;
  if (asked.hasValue()) {
    const auto bytes = to_span(asked.getValue());
    value.emplace(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  answer(context, session_.owner.header.change_metadata(to_string(asked.getName()), value));
  return kj::READY_NOW;
}

kj::Promise<void> OwnerService::rotateDataKey(RotateDataKeyContext context) {
  const auto asked = context.getParams();
  KeyRotation rotation{.leave_out_others = asked.getLeaveOutOthers()};
  constexpr unsigned key_slot_count_max = 16;
  if (asked.getWithout().size() > key_slot_count_max) {
    write_failure(
        context.getResults().initFailure(),
        Error(ErrorKind::invalid_argument,
              fmt::format("more slots are named than the {} of an image", key_slot_count_max)));
    return kj::READY_NOW;
  }
  for (const std::uint32_t number : asked.getWithout()) {
    rotation.without.push_back(number);
  }
  const Result<RotatedSlots> slots = session_.owner.header.rotate_data_key(rotation);
  if (!slots) {
    write_failure(context.getResults().initFailure(), slots.error());
    return kj::READY_NOW;
  }
  const auto write_all = [](auto to, const std::vector<std::string>& texts) {
    for (unsigned index = 0; index < to.size(); ++index) {
      to.set(index, texts[index]);
    }
  };
  auto results = context.getResults();
  write_all(results.initLeftOut(static_cast<unsigned>(slots->left_out.size())), slots->left_out);
  write_all(results.initOpens(static_cast<unsigned>(slots->opens.size())), slots->opens);
  return kj::READY_NOW;
}

} // namespace vnvram
