// A session that says to the owner whatever the test makes up, message by message (rpc.capnp of
// Cap'n Proto itself): capabilities that it was never given, for one.
#pragma once

#include <sys/socket.h>
#include <sys/time.h>

#include <cstddef>
#include <cstdint>
#include <utility>

#include <capnp/message.h>
#include <capnp/rpc.capnp.h>
#include <capnp/serialize.h>

#include "base/unique_fd.h"
#include "rpc/wire.h"

namespace vnvram::test {

class RawPeer {
public:
  enum class Answer { results, exception, connection_lost };

  explicit RawPeer(UniqueFd socket) : socket_(std::move(socket)) {
    const timeval patience{.tv_sec = 60, .tv_usec = 0};
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  }

  /// The number of the capability that the connection begins with.
  std::uint32_t bootstrap(std::uint32_t question) {
    send([&](auto message) { message.initBootstrap().setQuestionId(question); });
    std::uint32_t capability = 0;
    (void)answer(question, [&](capnp::rpc::Payload::Reader results) {
      capability = results.getCapTable()[0].getSenderHosted();
    });
    return capability;
  }
  /// Without a content: every method here takes that.
  void call(std::uint32_t question, std::uint32_t capability, std::uint64_t interface,
            std::uint16_t method) {
    send([&](auto message) {
      auto call = message.initCall();
      call.setQuestionId(question);
      call.initTarget().setImportedCap(capability);
      call.setInterfaceId(interface);
      call.setMethodId(method);
      call.initParams();
    });
  }
  /// Of what a question is answered with, before it is.
  void call_answer_of(std::uint32_t question, std::uint32_t asked, std::uint64_t interface,
                      std::uint16_t method) {
    send([&](auto message) {
      auto call = message.initCall();
      call.setQuestionId(question);
      call.initTarget().initPromisedAnswer().setQuestionId(asked);
      call.setInterfaceId(interface);
      call.setMethodId(method);
      call.initParams();
    });
  }
  void finish(std::uint32_t question) {
    send([&](auto message) {
      auto finish = message.initFinish();
      finish.setQuestionId(question);
      finish.setReleaseResultCaps(false);
    });
  }
  void release(std::uint32_t capability) {
    send([&](auto message) {
      auto release = message.initRelease();
      release.setId(capability);
      release.setReferenceCount(1);
    });
  }
  /// Waits for it. Other messages are passed over.
  Answer answer(std::uint32_t question) {
    return answer(question, [](capnp::rpc::Payload::Reader) {});
  }
  template <typename Take> Answer answer(std::uint32_t question, Take take) {
    try {
      for (;;) {
        capnp::StreamFdMessageReader reader(socket_.get());
        const auto message = reader.getRoot<capnp::rpc::Message>();
        if (message.isAbort()) {
          return Answer::connection_lost;
        }
        if (!message.isReturn() || message.getReturn().getAnswerId() != question) {
          continue;
        }
        if (!message.getReturn().isResults()) {
          return Answer::exception;
        }
        take(message.getReturn().getResults());
        return Answer::results;
      }
    } catch (const kj::Exception&) {
      return Answer::connection_lost;
    }
  }

private:
  template <typename Fill> void send(Fill fill) {
    capnp::MallocMessageBuilder message;
    fill(message.initRoot<capnp::rpc::Message>());
    const auto words = capnp::messageToFlatArray(message);
    const auto bytes = words.asBytes();
    (void)::send(socket_.get(), bytes.begin(), bytes.size(), MSG_NOSIGNAL);
  }

  const UniqueFd socket_;
};

} // namespace vnvram::test
