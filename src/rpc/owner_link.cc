#include "rpc/owner_link.h"

#include <exception>
#include <string>
#include <utility>

#include "rpc/wire.h"

namespace vnvram {
namespace {

constexpr auto greeting_max = 5 * kj::SECONDS;

} // namespace

Error OwnerLink::lost(const kj::Exception& exception) {
  if (exception.getType() == kj::Exception::Type::UNIMPLEMENTED) {
    return {ErrorKind::unsupported,
            std::string("the image's owner does not know this call: ") +
                exception.getDescription().cStr(),
            "it takes a newer owner"};
  }
  return {ErrorKind::io,
          std::string("the image's owner cannot be reached: ") +
              exception.getDescription().cStr(),
          "see whether it runs"};
}

Result<std::unique_ptr<OwnerLink>> OwnerLink::open(UniqueFd socket) {
  std::unique_ptr<OwnerLink> link(new OwnerLink(std::move(socket)));
  std::promise<Status> started;
  auto ready = started.get_future();
  link->thread_ = std::jthread(
      [raw = link.get(), started = std::move(started)]() mutable { raw->run(std::move(started)); });
  if (const Status greeted = ready.get(); !greeted) {
    return greeted.error();
  }
  return link;
}

OwnerLink::OwnerLink(UniqueFd socket) : socket_(std::move(socket)) {}

OwnerLink::~OwnerLink() {
  if (end_.get() != nullptr) {
    end_->fulfill();
  }
}

void OwnerLink::run(std::promise<Status> ready) {
  bool is_ready = false;
  try {
    kj::AsyncIoContext io = kj::setupAsyncIo();
    auto stream = io.lowLevelProvider->wrapSocketFd(socket_.get());
    capnp::TwoPartyClient client(*stream);
    owner_ = client.bootstrap().castAs<rpc::Owner>();
    // Something else may listen there, and never answer what it does not understand.
    io.provider->getTimer()
        .timeoutAfter(greeting_max, owner_->stateRequest().send().ignoreResult())
        .wait(io.waitScope);
    auto end = kj::newPromiseAndCrossThreadFulfiller<void>();
    end_ = kj::mv(end.fulfiller);
    executor_ = kj::getCurrentThreadExecutor().addRef();
    is_ready = true;
    ready.set_value({});
    end.promise.wait(io.waitScope);
    following_.reset();
    owner_.reset();
  } catch (const kj::Exception& exception) {
    following_.reset();
    owner_.reset();
    if (!is_ready) {
      ready.set_value(lost(exception));
    }
  }
}

Status OwnerLink::follow_failures(std::function<void(const Error&)> tell) {
  return ask<void>([this, &tell](rpc::Owner::Client& owner) {
    tell_ = std::move(tell);
    return owner.stateRequest().send().then([this](auto&& state) -> Status {
      following_ = follow(state.getLastEvent())
                       .catch_([this](const kj::Exception& exception) { tell_(lost(exception)); })
                       .eagerlyEvaluate(nullptr);
      return {};
    });
  });
}

kj::Promise<void> OwnerLink::follow(std::uint64_t after) {
  auto request = owner_->watchRequest();
  request.setAfter(after);
  return request.send().then([this](auto&& happened) {
    for (const auto event : happened.getEvents()) {
      if (event.isFailure()) {
        tell_(read_failure(event.getFailure()));
      }
    }
    return follow(happened.getLast());
  });
}

} // namespace vnvram
