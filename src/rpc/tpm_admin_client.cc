#include "rpc/tpm_admin_client.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <span>
#include <system_error>

#include <capnp/rpc-twoparty.h>
#include <fmt/core.h>
#include <kj/async-io.h>

#include "base/exit_code.h"
#include "base/unique_fd.h"
#include "rpc/tpm_admin.capnp.h"

namespace vnvram {
namespace {

constexpr auto greeting_deadline = 5 * kj::SECONDS;
constexpr auto deadline = 60 * kj::SECONDS;

Result<UniqueFd> connect_to(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path)) {
    return Error(ErrorKind::invalid_argument, fmt::format("{}: not the path of a socket", path));
  }
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid() ||
      ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    const int error = errno;
    const bool absent = error == ENOENT || error == ECONNREFUSED;
    return Error(absent ? ErrorKind::absent : ErrorKind::io,
                 fmt::format("{}: cannot connect: {}", path, std::system_category().message(error)),
                 absent ? "give the path that vnvram-tpm has behind --admin unix:" : "");
  }
  return fd;
}

std::string custody_name(rpc::Custody custody) {
  switch (custody) {
  case rpc::Custody::OURS: return "ours";
  case rpc::Custody::HANDED_OVER: return "handed-over";
  case rpc::Custody::GONE: return "gone";
  }
  return "unknown";
}

// A newer TPM may answer with a kind that we do not know.
ErrorKind kind_of(std::uint16_t code) {
  for (int kind = 0; kind <= static_cast<int>(ErrorKind::sealed); ++kind) {
    if (static_cast<int>(exit_code(static_cast<ErrorKind>(kind))) == code) {
      return static_cast<ErrorKind>(kind);
    }
  }
  return ErrorKind::io;
}

Result<TpmAdminStatus> read_reply(rpc::Reply::Reader reply) {
  if (reply.hasFailure()) {
    const auto failure = reply.getFailure();
    return Error(kind_of(failure.getKind()), failure.getCause().cStr(), failure.getRemedy().cStr());
  }
  const auto from = reply.getStatus();
  TpmAdminStatus status;
  status.location = from.getLocation().cStr();
  status.attached = from.getAttached();
  status.held = from.getHeld();
  status.custody = custody_name(from.getCustody());
  status.content_may_change = from.getContentMayChange();
  status.uncommitted = from.getUncommitted();
  status.failed = from.getFailed();
  status.generation = from.getGeneration();
  const auto uuid = from.getImageUuid().asBytes();
  const auto bytes = std::as_bytes(std::span(uuid.begin(), uuid.size()));
  status.image_uuid.assign(bytes.begin(), bytes.end());
  status.tpm_version = from.getTpmVersion().cStr();
  status.image_error = from.getImageError().cStr();
  return status;
}

template <typename Response>
Result<TpmAdminStatus> wait_for(kj::AsyncIoContext& io, kj::Promise<Response> promise) {
  auto late = io.provider->getTimer().timeoutAfter(deadline, kj::mv(promise));
  auto response = late.wait(io.waitScope);
  return read_reply(response.getReply());
}

template <typename Request> auto send(Request request) {
  return request.send().dropPipeline();
}

Result<TpmAdminStatus> ask(kj::AsyncIoContext& io, rpc::TpmAdmin::Client& admin, TpmAdminCall call,
                           const std::string& location) {
  switch (call) {
  case TpmAdminCall::status: return wait_for(io, send(admin.statusRequest()));
  case TpmAdminCall::hold: return wait_for(io, send(admin.holdRequest()));
  case TpmAdminCall::resume: return wait_for(io, send(admin.resumeRequest()));
  case TpmAdminCall::detach: return wait_for(io, send(admin.detachRequest()));
  case TpmAdminCall::unseal: return wait_for(io, send(admin.unsealRequest()));
  case TpmAdminCall::attach: break;
  }
  auto request = admin.attachRequest();
  request.setLocation(location);
  return wait_for(io, send(kj::mv(request)));
}

} // namespace

Result<TpmAdminStatus> call_tpm_admin(const std::string& socket_path, TpmAdminCall call,
                                      const std::string& location) {
  const Result<UniqueFd> socket = connect_to(socket_path);
  if (!socket) {
    return socket.error();
  }
  try {
    kj::AsyncIoContext io = kj::setupAsyncIo();
    auto stream = io.lowLevelProvider->wrapSocketFd(socket->get());
    capnp::TwoPartyClient client(*stream);
    auto admin = client.bootstrap().castAs<rpc::TpmAdmin>();
    // Something else may listen there, and never answer what it does not understand.
    io.provider->getTimer()
        .timeoutAfter(greeting_deadline, admin.whenResolved())
        .wait(io.waitScope);
    return ask(io, admin, call, location);
  } catch (const kj::Exception& exception) {
    return Error(ErrorKind::io,
                 fmt::format("{}: {}", socket_path, exception.getDescription().cStr()),
                 "is it the --admin socket of a vnvram-tpm that runs?");
  }
}

} // namespace vnvram
