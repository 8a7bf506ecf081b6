#include "rpc/remote_blob_client.h"

#include <algorithm>
#include <string>
#include <utility>

#include <fmt/core.h>

#include "rpc/owner_link.h"
#include "rpc/wire.h"

namespace vnvram {
namespace {

// What a request takes beside the bytes in it, and what they are filled up with.
constexpr std::uint64_t request_min_words = 64;
constexpr std::uint64_t word_bytes = sizeof(capnp::word);

// What it says, or why not.
template <typename T, typename Answer, typename Read> Result<T> take(Answer&& answer, Read read) {
  if (answer.hasFailure()) {
    return read_failure(answer.getFailure());
  }
  return read(answer);
}

std::uint64_t size_bytes_of(const Transaction& transaction) {
  std::uint64_t size_bytes = 0;
  for (const Transaction::Update& update : transaction.updates()) {
    size_bytes += update.bytes.size() + update.blob.size();
  }
  return size_bytes;
}

} // namespace

Result<std::unique_ptr<RemoteBlobClient>> RemoteBlobClient::connect(UniqueFd socket) {
  Result<std::unique_ptr<OwnerLink>> link = OwnerLink::open(std::move(socket));
  if (!link) {
    return link.error();
  }
  return std::unique_ptr<RemoteBlobClient>(new RemoteBlobClient(*std::move(link)));
}

RemoteBlobClient::RemoteBlobClient(std::unique_ptr<OwnerLink> link) : link_(std::move(link)) {}

RemoteBlobClient::~RemoteBlobClient() = default;

Result<std::vector<BlobInfo>> RemoteBlobClient::blobs() {
  using Blobs = std::vector<BlobInfo>;
  return link_->ask<Blobs>([](rpc::Owner::Client& owner) {
    return owner.listRequest().send().then([](auto&& answer) {
      return take<Blobs>(answer, [](const auto& listed) {
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
      return take<BlobInfo>(answer, [](const auto& found) { return read_info(found.getInfo()); });
    });
  });
}

Result<ImageState> RemoteBlobClient::state() {
  return link_->ask<ImageState>([](rpc::Owner::Client& owner) {
    return owner.stateRequest().send().then([](auto&& answer) {
      return take<ImageState>(answer,
                              [](const auto& found) { return read_state(found.getState()); });
    });
  });
}

Result<std::vector<std::byte>> RemoteBlobClient::read_all(std::string_view blob) {
  using Content = std::vector<std::byte>;
  return link_->ask<Content>([blob](rpc::Owner::Client& owner) {
    auto request = owner.readRequest();
    auto range = request.initRanges(1)[0];
    range.setBlob(std::string(blob));
    range.setWhole();
    return request.send().then([](auto&& answer) {
      return take<Content>(answer, [](const auto& read) {
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

Result<std::uint64_t> RemoteBlobClient::change(const Transaction& transaction, bool deferred) {
  const std::uint64_t size_bytes = size_bytes_of(transaction);
  if (size_bytes > blob_size_max_bytes) {
    return Error(ErrorKind::too_large,
                 fmt::format("a transaction of {} bytes is more than an owner can be asked for, {}",
                             size_bytes, blob_size_max_bytes));
  }
  return link_->ask<std::uint64_t>([&, deferred](rpc::Owner::Client& owner) {
    const std::uint64_t count = transaction.updates().size();
    const capnp::MessageSize size{
        request_min_words + size_bytes / word_bytes + request_min_words * count, 0};
    auto request = owner.changeRequest(size);
    write_updates(request.initUpdates(static_cast<unsigned>(count)), transaction);
    request.setDeferred(deferred);
    return request.send().then([](auto&& answer) {
      return take<std::uint64_t>(answer, [](const auto& made) { return made.getGeneration(); });
    });
  });
}

Status RemoteBlobClient::write(std::string_view blob, std::uint64_t offset_bytes,
                               std::span<const std::byte> bytes, Durability durability) {
  Transaction transaction;
  transaction.write_range(blob, offset_bytes, bytes);
  const auto changed = change(transaction, durability == Durability::deferred);
  return changed ? Status() : changed.error();
}

Status RemoteBlobClient::zero(std::string_view blob, std::uint64_t offset_bytes,
                              std::uint64_t length_bytes, Durability durability) {
  Transaction transaction;
  transaction.zero_range(blob, offset_bytes, length_bytes);
  const auto changed = change(transaction, durability == Durability::deferred);
  return changed ? Status() : changed.error();
}

Result<std::uint64_t> RemoteBlobClient::commit(const Transaction& transaction) {
  return change(transaction, false);
}

Status RemoteBlobClient::flush() {
  return link_->ask<void>([](rpc::Owner::Client& owner) {
    return owner.flushRequest().send().then([](auto&& answer) { return take_status(answer); });
  });
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
  bool follow = false;
  {
    const std::lock_guard lock(watch_mutex_);
    watcher_ = std::move(failed_in_background);
    follow = watcher_ && !std::exchange(follows_, follows_ || watcher_);
  }
  if (!follow) {
    return;
  }
  const Status follows = link_->follow_failures([this](const Error& error) { tell(error); });
  if (!follows) {
    tell(follows.error());
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
  return link_->ask<void>([&blobs](rpc::Owner::Client& owner) {
    auto request = owner.claimRequest();
    auto list = request.initBlobs(static_cast<unsigned>(blobs.size()));
    for (unsigned index = 0; index < list.size(); ++index) {
      list.set(index, blobs[index]);
    }
    return request.send().then([](auto&& answer) { return take_status(answer); });
  });
}

Status RemoteBlobClient::hand_over() {
  return link_->ask<void>([](rpc::Owner::Client& owner) {
    return owner.handOverRequest().send().then([](auto&& answer) { return take_status(answer); });
  });
}

Status RemoteBlobClient::take_back() {
  return link_->ask<void>([](rpc::Owner::Client& owner) {
    return owner.takeBackRequest().send().then([](auto&& answer) { return take_status(answer); });
  });
}

Result<bool> RemoteBlobClient::look_again() {
  return link_->ask<bool>([](rpc::Owner::Client& owner) {
    return owner.lookAgainRequest().send().then([](auto&& answer) {
      return take<bool>(answer, [](const auto& looked) { return looked.getChanged(); });
    });
  });
}

} // namespace vnvram
