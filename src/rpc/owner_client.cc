#include "rpc/owner_client.h"

#include <algorithm>
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
  if (from.hasKeyExchange()) {
    const auto progress = from.getKeyExchange();
    status.key_exchange = OwnerStatus::Progress{.done_bytes = progress.getDoneBytes(),
                                                .all_bytes = progress.getAllBytes()};
  }
  if (from.getLetGo().size() == sizeof(HandOverNumber::bytes)) {
    std::ranges::copy(to_span(from.getLetGo()), status.let_go.emplace().bytes.begin());
  }
  status.gone_on = from.getGoneOn();
  if (from.hasRefusal()) {
    status.refusal = read_failure(from.getRefusal());
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
  const Result<std::uint64_t> held = ask_to_hold(duration, false);
  return held ? Status() : held.error();
}

Result<std::uint64_t> OwnerClient::hold_alone(std::chrono::milliseconds duration) {
  return ask_to_hold(duration, true);
}

Result<std::uint64_t> OwnerClient::ask_to_hold(std::chrono::milliseconds duration, bool only_one) {
  if (duration.count() < 0 || duration.count() > std::numeric_limits<std::uint32_t>::max()) {
    return Error(ErrorKind::invalid_argument, "no hold lasts as long as that");
  }
  return link_->ask<std::uint64_t>([duration, only_one](rpc::Owner::Client& owner) {
    auto request = owner.holdRequest();
    request.setDurationMs(static_cast<std::uint32_t>(duration.count()));
    request.setOnlyOne(only_one);
    return request.send().then([](auto&& answer) -> Result<std::uint64_t> {
      if (answer.hasFailure()) {
        return read_failure(answer.getFailure());
      }
      return answer.getNumber();
    });
  });
}

Result<bool> OwnerClient::release() {
  return ask_to_release(0);
}

Result<bool> OwnerClient::release_own(std::uint64_t number) {
  return ask_to_release(number);
}

Result<bool> OwnerClient::ask_to_release(std::uint64_t number) {
  return link_->ask<bool>([number](rpc::Owner::Client& owner) {
    auto request = owner.releaseRequest();
    request.setNumber(number);
    return request.send().then([](auto&& answer) -> Result<bool> {
      if (answer.hasFailure()) {
        return read_failure(answer.getFailure());
      }
      return answer.getHeld();
    });
  });
}

Result<StoreInfo> OwnerClient::image() {
  return link_->ask<StoreInfo>([](rpc::Owner::Client& owner) {
    return owner.imageRequest().send().then([](auto&& answer) -> Result<StoreInfo> {
      if (answer.hasFailure()) {
        return read_failure(answer.getFailure());
      }
      return read_image_info(answer.getImage());
    });
  });
}

Result<CheckReport> OwnerClient::check() {
  return link_->ask<CheckReport>([](rpc::Owner::Client& owner) {
    return owner.checkRequest().send().then([](auto&& answer) -> Result<CheckReport> {
      if (answer.hasFailure()) {
        return read_failure(answer.getFailure());
      }
      return read_report(answer.getReport());
    });
  });
}

Result<Moment> OwnerClient::changes(std::uint64_t after, std::uint64_t content_max_bytes) {
  return link_->ask<Moment>([after, content_max_bytes](rpc::Owner::Client& owner) {
    auto request = owner.changesRequest();
    request.setAfter(after);
    request.setContentMaxBytes(content_max_bytes);
    return request.send().then([](auto&& answer) -> Result<Moment> {
      if (answer.hasFailure()) {
        return read_failure(answer.getFailure());
      }
      return read_moment(answer.getMoment());
    });
  });
}

Status OwnerClient::read_settled(const std::string& blob, std::uint64_t offset_bytes,
                                 std::span<std::byte> bytes) {
  return link_->ask<void>([&blob, offset_bytes, bytes](rpc::Owner::Client& owner) {
    auto request = owner.readRequest();
    request.setSettled(true);
    auto range = request.initRanges(1)[0];
    range.setBlob(blob);
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

Status OwnerClient::renew_front_ends() {
  return link_->ask<void>([](rpc::Owner::Client& owner) {
    return owner.renewFrontEndsRequest().send().then(
        [](auto&& answer) { return take_status(answer); });
  });
}

Result<PublicMetadata> OwnerClient::metadata() {
  return link_->ask<PublicMetadata>([](rpc::Owner::Client& owner) {
    return owner.metadataRequest().send().then([](auto&& answer) -> Result<PublicMetadata> {
      if (answer.hasFailure()) {
        return read_failure(answer.getFailure());
      }
      PublicMetadata metadata;
      for (const auto entry : answer.getEntries()) {
        const auto value = to_span(entry.getValue());
        metadata.insert_or_assign(
            to_string(entry.getName()),
            std::string(reinterpret_cast<const char*>(value.data()), value.size()));
      }
      return metadata;
    });
  });
}

Status OwnerClient::change_metadata(const std::string& name,
                                    const std::optional<std::string>& value) {
  return link_->ask<void>([&](rpc::Owner::Client& owner) {
    auto request = owner.changeMetadataRequest();
    request.setName(name);
    if (value) {
      request.setValue(to_data(std::as_bytes(std::span(*value))));
    }
    return request.send().then([](auto&& answer) { return take_status(answer); });
  });
}

Result<OwnerClient::RotatedSlots> OwnerClient::rotate_data_key(bool leave_out_others,
                                                               std::span<const unsigned> without) {
  return link_->ask<RotatedSlots>([&](rpc::Owner::Client& owner) {
    auto request = owner.rotateDataKeyRequest();
    request.setLeaveOutOthers(leave_out_others);
    auto numbers = request.initWithout(static_cast<unsigned>(without.size()));
    for (unsigned index = 0; index < numbers.size(); ++index) {
      numbers.set(index, without[index]);
    }
    return request.send().then([](auto&& answer) -> Result<RotatedSlots> {
      if (answer.hasFailure()) {
        return read_failure(answer.getFailure());
      }
      RotatedSlots slots;
      for (const auto text : answer.getLeftOut()) {
        slots.left_out.push_back(to_string(text));
      }
      for (const auto text : answer.getOpens()) {
        slots.opens.push_back(to_string(text));
      }
      return slots;
    });
  });
}

Result<std::uint64_t> OwnerClient::read_device(std::uint64_t offset_bytes,
                                               std::span<std::byte> bytes) {
  return link_->ask<std::uint64_t>([offset_bytes, bytes](rpc::Owner::Client& owner) {
    auto request = owner.readDeviceRequest();
    request.setOffsetBytes(offset_bytes);
    request.setLengthBytes(static_cast<std::uint32_t>(bytes.size()));
    return request.send().then([bytes](auto&& answer) -> Result<std::uint64_t> {
      if (answer.hasFailure()) {
        return read_failure(answer.getFailure());
      }
      if (answer.getBytes().size() != bytes.size()) {
        return Error(ErrorKind::io,
                     "the image's owner has answered with other bytes than asked for");
      }
      std::ranges::copy(to_span(answer.getBytes()), bytes.begin());
      return answer.getDeviceSizeBytes();
    });
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
