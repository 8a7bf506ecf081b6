#include "rpc/tpm_admin_client.h"

#include <span>

#include <capnp/rpc-twoparty.h>
#include <fmt/core.h>
#include <kj/async-io.h>

#include "base/unique_fd.h"
#include "rpc/socket_connection.h"
#include "rpc/tpm_admin.capnp.h"
#include "rpc/wire.h"

namespace vnvram {
namespace {

constexpr auto greeting_deadline = 5 * kj::SECONDS;
constexpr auto deadline = 60 * kj::SECONDS;

std::string custody_name(rpc::Custody custody) {
  switch (custody) {
  case rpc::Custody::OURS: return "ours";
  case rpc::Custody::HANDED_OVER: return "handed-over";
  case rpc::Custody::GONE: return "gone";
  }
  return "unknown";
}

Result<TpmAdminStatus> read_reply(rpc::Reply::Reader reply) {
  if (reply.hasFailure()) {
    return read_failure(reply.getFailure());
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
  const Result<UniqueFd> socket =
      connect_to_socket(socket_path, "give the path that vnvram-tpm has behind --admin unix:");
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
