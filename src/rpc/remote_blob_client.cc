#include "rpc/remote_blob_client.h"

#include <algorithm>
#include <string>
#include <utility>

#include <fmt/core.h>

#include "rpc/blob_requests.h"
#include "rpc/owner_link.h"
#include "rpc/wire.h"

namespace vnvram {
namespace {

// Of deferred changes that may not be durable yet: more than devices write in 30 ms.
constexpr std::uint64_t kept_max_bytes = std::uint64_t{1} << 20U;

} // namespace

Result<std::unique_ptr<RemoteBlobClient>> RemoteBlobClient::connect(UniqueFd socket) {
  Result<std::unique_ptr<OwnerLink>> link = OwnerLink::open(std::move(socket));
  if (!link) {
    return link.error();
  }
  return std::unique_ptr<RemoteBlobClient>(new RemoteBlobClient(*std::move(link), {}));
}

Result<std::unique_ptr<RemoteBlobClient>> RemoteBlobClient::connect(Lasting lasting) {
  Result<UniqueFd> socket = lasting.connect();
  if (!socket) {
    return socket.error();
  }
  Result<std::unique_ptr<OwnerLink>> opened = OwnerLink::open(*std::move(socket));
  if (!opened) {
    return opened.error();
  }
  OwnerLink& link = **opened;
  std::unique_ptr<RemoteBlobClient> client(
      new RemoteBlobClient(*std::move(opened), std::move(lasting)));
  client->kept_.set_limit(0); // Until there is an image.
  if (Status seen = client->look_at_image(link);
      !seen && seen.error().kind() != ErrorKind::absent) {
    return seen.error();
  }
  return client;
}

RemoteBlobClient::RemoteBlobClient(std::unique_ptr<OwnerLink> link, Lasting lasting)
    : link_(std::make_unique<LastingLink>(
          std::move(link),
          LastingLink::Setup{.connect = std::move(lasting.connect),
                             .patience = lasting.patience,
                             .resume = [this](OwnerLink& resumed) { return resume(resumed); },
                             .is_urgent = [this] { return is_missed(); },
                             .log = std::move(lasting.log)})),
      changes_(kept_, *link_, [this](const Error& error) { tell(error); }) {}

RemoteBlobClient::~RemoteBlobClient() {
  RemoteBlobClient::watch_failures({});
  link_->stop();
}

Status RemoteBlobClient::resume(OwnerLink& link) {
  Status done = look_at_image(link);
  if (let_go_) {
    return done;
  }
  done = done ? set_up_session(link) : done;
  done = done ? changes_.repeat_on(link) : done;
  return done && handed_over_ ? link.ask<void>(request_hand_over) : done;
}

Status RemoteBlobClient::look_at_image(OwnerLink& link) {
  const Result<SeenImage> now = link.ask<SeenImage>(request_seen_image);
  if (!now) {
    return now.error();
  }
  const ImageState& state = now->state;
  if (image_uuid_ && *image_uuid_ != state.uuid) {
    return Error(ErrorKind::stale, "the image's owner has come back with another image",
                 "stop the device, and start it with the image that it was started with");
  }
  if (state.generation < kept_.generation()) {
    return Error(ErrorKind::stale,
                 fmt::format("the image's owner has come back with an older image: generation {} "
                             "was durable, and it is at {}",
                             kept_.generation(), state.generation),
                 "stop the device: what it knows of is not in that image");
  }
  image_uuid_ = state.uuid;
  last_event_ = now->last_event;
  kept_.set_limit(std::min(kept_max_bytes, state.blob_size_max_bytes / 2));
  return {};
}

Status RemoteBlobClient::set_up_session(OwnerLink& link) {
  if (const auto blobs = claimed_.get()) {
    const Status said =
        link.ask<void>([&](rpc::Owner::Client& owner) { return request_claim(owner, *blobs); });
    if (!said) {
      return said;
    }
  }
  return take_rights(link);
}

// A session has the right to write a blob by a change of it, also by one that changes nothing.
Status RemoteBlobClient::take_rights(OwnerLink& link) {
  Transaction nothing;
  for (const std::string& blob : kept_.blobs()) {
    nothing.zero_range(blob, 0, 0);
  }
  if (nothing.empty()) {
    return {};
  }
  const auto taken = link.ask<std::uint64_t>(
      [&](rpc::Owner::Client& owner) { return request_change(owner, nothing, false); });
  const bool has_rights =
      taken || (taken.error().kind() != ErrorKind::in_use &&
                taken.error().kind() != ErrorKind::absent && taken.error().kind() != ErrorKind::io);
  return has_rights ? Status() : taken.error();
}

// Something is lost, or can be taken by others, as long as it is not connected.
bool RemoteBlobClient::is_missed() {
  return !claimed_.get().value_or(std::vector<std::string>()).empty() || handed_over_ ||
         !kept_.blobs().empty();
}

Result<std::vector<BlobInfo>> RemoteBlobClient::blobs() {
  using Blobs = std::vector<BlobInfo>;
  return link_->ask<Blobs>([](rpc::Owner::Client& owner) {
    return owner.listRequest().send().then([](auto&& answer) {
      return take_answer<Blobs>(answer, [](const auto& listed) {
        Blobs blobs;
        for (const auto blob : listed.getBlobs()) {
          blobs.push_back(read_info(blob));
        }
        return blobs;
      });
    });
  });
}

Result<BlobInfo> RemoteBlobClient::blob(std::string_view name) {
  return link_->ask<BlobInfo>([name](rpc::Owner::Client& owner) {
    auto request = owner.infoRequest();
    request.setBlob(std::string(name));
    return request.send().then([](auto&& answer) {
      return take_answer<BlobInfo>(answer,
                                   [](const auto& found) { return read_info(found.getInfo()); });
    });
  });
}

Result<ImageState> RemoteBlobClient::state() {
  return link_->ask<ImageState>(request_state);
}

Result<std::vector<std::byte>> RemoteBlobClient::read_all(std::string_view blob) {
  if (const Status done = changes_.settle(blob); !done) {
    return done.error();
  }
  using Content = std::vector<std::byte>;
  return link_->ask<Content>([blob](rpc::Owner::Client& owner) {
    auto request = owner.readRequest();
    auto range = request.initRanges(1)[0];
    range.setBlob(std::string(blob));
    range.setWhole();
    return request.send().then([](auto&& answer) {
      return take_answer<Content>(answer, [](const auto& read) {
        const auto contents = read.getContents();
        const auto bytes =
            contents.size() == 1 ? to_span(contents[0]) : std::span<const std::byte>();
        return Content(bytes.begin(), bytes.end());
      });
    });
  });
}

Status RemoteBlobClient::read(std::string_view blob, std::uint64_t offset_bytes,
                              std::span<std::byte> bytes) {
  if (Status done = changes_.settle(blob); !done) { // Reads pass those that are held.
    return done;
  }
  return link_->ask<void>([=](rpc::Owner::Client& owner) {
    auto request = owner.readRequest();
    auto range = request.initRanges(1)[0];
    range.setBlob(std::string(blob));
    auto part = range.initPart();
    part.setOffsetBytes(offset_bytes);
    part.setLengthBytes(bytes.size());
    return request.send().then([bytes](auto&& answer) -> Status {
      if (answer.hasFailure()) {
        return read_failure(answer.getFailure());
      }
      const auto contents = answer.getContents();
      if (contents.size() != 1 || contents[0].size() != bytes.size()) {
        return Error(ErrorKind::io,
                     "the image's owner has answered with other bytes than asked for");
      }
      std::ranges::copy(to_span(contents[0]), bytes.begin());
      return {};
    });
  });
}

Status RemoteBlobClient::write(std::string_view blob, std::uint64_t offset_bytes,
                               std::span<const std::byte> bytes, Durability durability) {
  Transaction transaction;
  transaction.write_range(blob, offset_bytes, bytes);
  return changes_.write_range(transaction, durability);
}

Status RemoteBlobClient::zero(std::string_view blob, std::uint64_t offset_bytes,
                              std::uint64_t length_bytes, Durability durability) {
  Transaction transaction;
  transaction.zero_range(blob, offset_bytes, length_bytes);
  return changes_.write_range(transaction, durability);
}

Result<std::uint64_t> RemoteBlobClient::commit(const Transaction& transaction) {
  return changes_.change(transaction, false);
}

Status RemoteBlobClient::flush() {
  return changes_.flush();
}

Status RemoteBlobClient::register_blobs(std::span<const BlobSpec> blobs) {
  return link_->ask<void>([blobs](rpc::Owner::Client& owner) {
    auto request = owner.registerRequest();
    auto list = request.initBlobs(static_cast<unsigned>(blobs.size()));
    for (unsigned index = 0; index < list.size(); ++index) {
      write_spec(list[index].initSpec(), blobs[index]);
    }
    return request.send().then([](auto&& answer) { return take_status(answer); });
  });
}

void RemoteBlobClient::watch_failures(std::function<void(const Error&)> failed_in_background) {
  bool follow_now = false;
  {
    const std::lock_guard lock(watch_mutex_);
    watcher_ = std::move(failed_in_background);
    follow_now = watcher_ && !std::exchange(follows_, follows_ || watcher_);
  }
  if (!follow_now) {
    return;
  }
  const Result<std::uint64_t> last_event = link_->ask<std::uint64_t>(request_last_event);
  const Result<LastingLink::Link> link = link_->current();
  if (last_event && link) {
    following_ = std::jthread([this, link = *link, last = *last_event] { follow(link, last); });
  } else {
    tell(last_event ? link.error() : last_event.error());
  }
}

void RemoteBlobClient::follow(LastingLink::Link link, std::uint64_t last_event) {
  for (;;) {
    link->follow_failures(last_event, [this](const Error& error) { tell(error); });
    Result<LastingLink::Link> next = link_->next_to_watch(link);
    if (!next) {
      tell(next.error());
      return;
    }
    link = *std::move(next);
    last_event = last_event_; // Nothing that has failed since then is passed over.
  }
}

void RemoteBlobClient::tell(const Error& error) {
  const std::lock_guard lock(watch_mutex_);
  if (watcher_) {
    watcher_(error);
  }
}

Status RemoteBlobClient::close() {
  return flush();
}

Status RemoteBlobClient::claim(const std::vector<std::string>& blobs) {
  Status said = changes_.settle();
  if (!said) {
    return said;
  }
  said = link_->ask<void>([&](rpc::Owner::Client& owner) { return request_claim(owner, blobs); });
  if (said) {
    claimed_.set(blobs);
    kept_.forget_blobs(); // The rights are to these now, and only to these.
  }
  return said;
}

Status RemoteBlobClient::hand_over() {
  if (Status taken = changes_.settle(); !taken) {
    return taken;
  }
  handed_over_ = true;
  return link_->ask<void>(request_hand_over);
}

Status RemoteBlobClient::take_back() {
  handed_over_ = false;
  return link_->ask<void>([](rpc::Owner::Client& owner) {
    return owner.takeBackRequest().send().then([](auto&& answer) { return take_status(answer); });
  });
}

Result<OwnerEpoch> RemoteBlobClient::let_go(const HandOverNumber& number) {
  if (Status taken = changes_.settle(); !taken) {
    return taken.error();
  }
  let_go_ = true;
  return link_->ask<OwnerEpoch>(
      [&](rpc::Owner::Client& owner) { return request_let_go(owner, number); });
}

// Whoever goes on claims what it uses next, which says to the owner what belongs to this session.
Status RemoteBlobClient::go_on(const GoOn& from) {
  Status done =
      link_->ask<void>([&](rpc::Owner::Client& owner) { return request_go_on(owner, from); });
  if (done) {
    let_go_ = false;
  }
  return done;
}

Result<bool> RemoteBlobClient::look_again() {
  if (const Status done = changes_.wait_for_posted(); !done) {
    return done.error();
  }
  Result<bool> changed = link_->ask<bool>([](rpc::Owner::Client& owner) {
    return owner.lookAgainRequest().send().then([](auto&& answer) {
      return take_answer<bool>(answer, [](const auto& looked) { return looked.getChanged(); });
    });
  });
  if (changed && *changed) {
    kept_.image_was_changed();
  }
  return changed;
}

} // namespace vnvram
