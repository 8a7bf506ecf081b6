#include "cli/owner_socket.h"

#include <string_view>
#include <utility>

#include <fcntl.h>
#include <sys/socket.h>

#include "rpc/socket_connection.h"

namespace vnvram::cli {
namespace {

constexpr std::string_view beginning = "unix:";

} // namespace

bool is_owner_socket(const std::string& image) {
  return image.starts_with(beginning);
}

Result<UniqueFd> connect_socket(const std::string& image) {
  if (!is_owner_socket(image)) {
    return Error(ErrorKind::invalid_argument, image + ": not the control socket of an owner",
                 "write unix:PATH, as `vnvram serve` was given behind --control");
  }
  return connect_to_socket(image.substr(beginning.size()),
                           "does `vnvram serve --control " + image + "` run?");
}

std::function<void()> hang_up(const UniqueFd& socket) {
  const auto same = std::make_shared<UniqueFd>(::fcntl(socket.get(), F_DUPFD_CLOEXEC, 3));
  return [same] { (void)::shutdown(same->get(), SHUT_RDWR); };
}

Result<std::unique_ptr<RemoteBlobClient>> connect_blobs(const std::string& image) {
  Result<UniqueFd> socket = connect_socket(image);
  return socket ? RemoteBlobClient::connect(*std::move(socket)) : socket.error();
}

Result<std::unique_ptr<OwnerClient>> connect_owner(const std::string& image) {
  Result<UniqueFd> socket = connect_socket(image);
  return socket ? OwnerClient::connect(*std::move(socket)) : socket.error();
}

Status check_image_is_here(const std::string& image) {
  const auto owner = connect_owner(image);
  const auto status = owner ? (*owner)->status() : Result<OwnerStatus>(owner.error());
  if (!status) {
    return status.error();
  }
  return status->image && status->image->elsewhere
             ? Status(Error(ErrorKind::sealed, status->location + ": another host has the image",
                            "change it where its machine is"))
             : Status();
}

} // namespace vnvram::cli
