#include "tpm/succession_channel.h"

#include <poll.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "tpm/running_tpm.h"

namespace vnvram {
namespace {

// What a message of the TPM begins with.
constexpr char socket_mark = 'f';
constexpr char piece_mark = 'p';
constexpr char end_mark = 'e';
constexpr std::size_t piece_max_bytes = passed_text_max_bytes - 1;
// One that has gone with something unread is reported once before it is said what it has left.
constexpr int receive_tries = 3;

Error wrong() {
  return {ErrorKind::io, "the other vnvram-tpm has said something that does not belong there"};
}

bool waits_for(int fd, short events) {
  pollfd entry{.fd = fd, .events = events, .revents = 0};
  const auto wait_max = std::chrono::milliseconds(SuccessionChannel::wait_max);
  return ::poll(&entry, 1, static_cast<int>(wait_max.count())) == 1;
}

void clear(std::string& text) {
  wipe_memory(std::as_writable_bytes(std::span(text)));
}

} // namespace

Status SuccessionChannel::send(std::string_view text, int descriptor) {
  if (!waits_for(fd(), POLLOUT)) {
    return Error(ErrorKind::io, "the other vnvram-tpm takes nothing");
  }
  return descriptor < 0 ? pass_text(fd(), text) : pass_descriptor(fd(), text, descriptor);
}

Result<PassedDescriptor> SuccessionChannel::receive() {
  Result<std::optional<PassedDescriptor>> came = std::optional<PassedDescriptor>();
  for (int tries = 0; tries < receive_tries; ++tries) {
    if (!waits_for(fd(), POLLIN)) {
      return Error(ErrorKind::io, "the other vnvram-tpm says nothing");
    }
    came = take_descriptor(fd());
    if (came.ok() && *came) {
      return **std::move(came);
    }
    if (!came.ok() && came.error().kind() == ErrorKind::absent) {
      return Error(ErrorKind::absent, "the other vnvram-tpm has gone");
    }
  }
  return came.ok() ? wrong() : came.error();
}

Status SuccessionChannel::say(Word word) {
  const char text = static_cast<char>(word);
  return send({&text, 1}, -1);
}

Status SuccessionChannel::hear(Word word) {
  const Result<PassedDescriptor> came = receive();
  if (!came.ok()) {
    return came.error();
  }
  if (came->text == std::string(1, static_cast<char>(Word::back))) {
    return Error(ErrorKind::stale, "the vnvram-tpm that runs goes on itself");
  }
  return came->text == std::string(1, static_cast<char>(word)) ? Status() : wrong();
}

Status SuccessionChannel::pass(std::span<const int> sockets, std::span<const std::byte> bytes) {
  Status sent;
  for (const int socket : sockets) {
    sent = sent.ok() ? send({&socket_mark, 1}, socket) : sent;
  }
  std::string piece;
  piece.reserve(passed_text_max_bytes);
  while (sent.ok() && !bytes.empty()) {
    const std::size_t size_bytes = std::min(piece_max_bytes, bytes.size());
    piece.assign(1, piece_mark);
    piece.append(reinterpret_cast<const char*>(bytes.data()), size_bytes);
    bytes = bytes.subspan(size_bytes);
    sent = send(piece, -1);
  }
  clear(piece);
  return sent.ok() ? send({&end_mark, 1}, -1) : sent;
}

Result<SuccessionChannel::Passed> SuccessionChannel::take() {
  std::vector<UniqueFd> sockets;
  std::vector<SecretBytes> pieces;
  std::size_t size_bytes = 0;
  for (;;) {
    Result<PassedDescriptor> came = receive();
    if (!came.ok()) {
      return came.error();
    }
    const char mark = came->text.front();
    const auto rest = std::as_bytes(std::span(came->text)).subspan(1);
    if (mark == socket_mark && came->descriptor.valid()) {
      sockets.push_back(std::move(came->descriptor));
    } else if (mark == piece_mark) {
      pieces.emplace_back(rest);
      size_bytes += rest.size();
      clear(came->text);
    } else if (mark == end_mark) {
      break;
    } else {
      return came->text.front() == static_cast<char>(Word::back)
                 ? Error(ErrorKind::stale, "the vnvram-tpm that runs goes on itself")
                 : wrong();
    }
    if (sockets.size() > running_tpm_clients_max + 1 || size_bytes > running_tpm_max_bytes) {
      return Error(ErrorKind::too_large, "the vnvram-tpm that runs has said too much");
    }
  }
  std::vector<std::byte> bytes;
  bytes.reserve(size_bytes);
  for (const SecretBytes& piece : pieces) {
    bytes.insert(bytes.end(), piece.get().begin(), piece.get().end());
  }
  return Passed{std::move(sockets), SecretBytes(std::move(bytes))};
}

} // namespace vnvram
