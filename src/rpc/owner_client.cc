#include "rpc/owner_client.h"

#include <limits>
#include <system_error>
#include <utility>

#include <fmt/core.h>

#include "rpc/owner_link.h"
#include "rpc/wire.h"

namespace vnvram {
namespace {

OwnerStatus read_status(rpc::OwnerStatus::Reader from) {
  OwnerStatus status;
  status.location = to_string(from.getLocation());
  status.pid = from.getPid();
  status.held = from.getHeld();
  if (from.getAttached()) {
    status.image = read_state(from.getState());
  }
  for (const auto session : from.getSessions()) {
    OwnerStatus::Session read{.number = session.getNumber(),
                              .pid = session.getPid(),
                              .uid = session.getUid(),
                              .writes = {},
                              .device = to_string(session.getDevice())};
    for (const auto blob : session.getWrites()) {
      read.writes.push_back(to_string(blob));
    }
    status.sessions.push_back(std::move(read));
  }
  return status;
}

} // namespace

Result<std::unique_ptr<OwnerClient>> OwnerClient::connect(UniqueFd socket) {
  Result<std::unique_ptr<OwnerLink>> link = OwnerLink::open(std::move(socket));
  if (!link) {
    return link.error();
  }
  return std::unique_ptr<OwnerClient>(new OwnerClient(*std::move(link)));
}

OwnerClient::OwnerClient(std::unique_ptr<OwnerLink> link) : link_(std::move(link)) {}

OwnerClient::~OwnerClient() {
  stops_ = true;
  link_->stop_following();
}

Result<OwnerStatus> OwnerClient::status() {
  return link_->ask<OwnerStatus>([](rpc::Owner::Client& owner) {
    return owner.statusRequest().send().then([](auto&& answer) -> Result<OwnerStatus> {
      if (answer.hasFailure()) {
        return read_failure(answer.getFailure());
      }
      return read_status(answer.getStatus());
    });
  });
}

Status OwnerClient::hold(std::chrono::milliseconds duration) {
  if (duration.count() < 0 || duration.count() > std::numeric_limits<std::uint32_t>::max()) {
    return Error(ErrorKind::invalid_argument, "no hold lasts as long as that");
  }
  return link_->ask<void>([duration](rpc::Owner::Client& owner) {
    auto request = owner.holdRequest();
    request.setDurationMs(static_cast<std::uint32_t>(duration.count()));
    return request.send().then([](auto&& answer) { return take_status(answer); });
  });
}

Result<bool> OwnerClient::release() {
  return link_->ask<bool>([](rpc::Owner::Client& owner) {
    return owner.releaseRequest().send().then([](auto&& answer) -> Result<bool> {
      if (answer.hasFailure()) {
        return read_failure(answer.getFailure());
      }
      return answer.getHeld();
    });
  });
}

Status OwnerClient::register_blobs(std::span<const NewBlob> blobs) {
  std::uint64_t size_bytes = 0;
  for (const NewBlob& blob : blobs) {
    size_bytes += blob.content ? blob.content->size() : 0;
  }
  if (size_bytes > blob_size_max_bytes) {
    return Error(ErrorKind::too_large,
                 fmt::format("contents of {} bytes are more than an owner can be asked for, {}",
                             size_bytes, blob_size_max_bytes),
                 "register fewer blobs at a time");
  }
  return link_->ask<void>([blobs](rpc::Owner::Client& owner) {
    auto request = owner.registerRequest();
    auto list = request.initBlobs(static_cast<unsigned>(blobs.size()));
    for (unsigned index = 0; index < list.size(); ++index) {
      write_spec(list[index].initSpec(), blobs[index].spec);
      if (blobs[index].content) {
        list[index].setContent(to_data(*blobs[index].content));
      }
    }
    return request.send().then([](auto&& answer) { return take_status(answer); });
  });
}

Status OwnerClient::remove(const std::string& blob) {
  return link_->ask<void>([&blob](rpc::Owner::Client& owner) {
    auto request = owner.removeRequest();
    request.setBlob(blob);
    return request.send().then([](auto&& answer) { return take_status(answer); });
  });
}

Status OwnerClient::take_back() {
  return link_->ask<void>([](rpc::Owner::Client& owner) {
    return owner.takeBackRequest().send().then([](auto&& answer) { return take_status(answer); });
  });
}

Status OwnerClient::restart() {
  return link_->ask<void>([](rpc::Owner::Client& owner) {
    return owner.restartRequest().send().then([](auto&& answer) { return take_status(answer); });
  });
}

Result<std::string> OwnerClient::metrics() {
  return link_->ask<std::string>([](rpc::Owner::Client& owner) {
    return owner.metricsRequest().send().then([](auto&& answer) -> Result<std::string> {
      if (answer.hasFailure()) {
        return read_failure(answer.getFailure());
      }
      return to_string(answer.getText());
    });
  });
}

Status OwnerClient::watch(std::function<void(const OwnerEvent&)> happened,
                          std::function<void(const Error&)> lost) {
  const Result<std::uint64_t> last = link_->ask<std::uint64_t>([](rpc::Owner::Client& owner) {
    return owner.stateRequest().send().then(
        [](auto&& state) -> Result<std::uint64_t> { return state.getLastEvent(); });
  });
  if (!last) {
    return last.error();
  }
  try {
    following_ = std::jthread(
        [this, last = *last, happened = std::move(happened), lost = std::move(lost)]() mutable {
          link_->follow(last, {.happened = std::move(happened), .hears_of_generations = true});
          if (!stops_) {
            lost(link_->loss());
          }
        });
  } catch (const std::system_error& error) {
    return Error(ErrorKind::io, std::string("no thread can be started to watch: ") + error.what());
  }
  return {};
}

} // namespace vnvram
