#include "tpm/predecessor.h"

#include <poll.h>
#include <unistd.h>

#include <chrono>
#include <optional>
#include <string>
#include <utility>

#include "base/descriptor_passing.h"
#include "base/operator_text.h"
#include "client/blob_client.h"
#include "tpm/tpm_image.h"

namespace vnvram {
namespace {

// A successor that has died has its session for a moment still.
constexpr std::chrono::seconds claim_wait_max{10};
constexpr int claim_pause_ms = 10;

bool is_readable(int fd) {
  pollfd entry{.fd = fd, .events = POLLIN, .revents = 0};
  return ::poll(&entry, 1, 0) == 1;
}

} // namespace

int Predecessor::fd() const {
  switch (step_) {
  case Step::alone: return channel_;
  case Step::is_coming: return successor_->fd();
  case Step::settling: return settled_fd_.get();
  case Step::settled: break; // The controller's request is what it waits for.
  }
  return -1;
}

bool Predecessor::advance() {
  if (step_ == Step::alone && channel_ >= 0) {
    look_for_successor();
  }
  if (step_ == Step::is_coming && is_readable(successor_->fd())) {
    hear_successor();
  }
  std::uint64_t count = 0;
  if (step_ == Step::settling && ::read(settled_fd_.get(), &count, sizeof(count)) > 0) {
    step_ = Step::settled;
  }
  if (step_ != Step::settled) {
    return false;
  }
  const auto clients = parts_.server.clients_at_rest();
  return clients && give(*clients);
}

void Predecessor::look_for_successor() {
  Result<std::optional<PassedDescriptor>> came = take_descriptor(channel_);
  if (!came.ok()) {
    channel_ = -1; // Who has started us has gone.
  } else if (*came && (*came)->descriptor.valid()) {
    successor_.emplace(std::move((*came)->descriptor));
    step_ = Step::is_coming;
  }
}

void Predecessor::hear_successor() {
  Status ready = successor_->hear(SuccessionChannel::Word::ready);
  Result<UniqueFd> settled_fd = TpmWorker::make_wake_fd();
  if (!ready.ok() || !settled_fd.ok()) {
    parts_.log.warning("a vnvram-tpm that was to go on with the TPM has not come up: " +
                       operator_text(ready.ok() ? settled_fd.error() : ready.error()));
    successor_.reset();
    step_ = Step::alone;
    return;
  }
  settled_fd_ = *std::move(settled_fd);
  step_ = Step::settling;
  parts_.worker.pause([this] {
    // An operator's hold is waited for here, as the claim waits that gives the blobs up.
    [[maybe_unused]] const Status claimed = parts_.client.claim(blob_names());
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(settled_fd_.get(), &one, sizeof(one));
  });
}

// The worker waits: all is this thread's to use.
bool Predecessor::give(const std::vector<const ControlConnection*>& clients) {
  const Result<bool> given = hand_over(clients);
  if (given.ok() && *given) {
    parts_.custody.image_given_up(); // Nothing is written any more.
    parts_.worker.stop();
    return true;
  }
  go_on(given.ok() ? Error(ErrorKind::absent, "the other one has gone") : given.error());
  successor_.reset();
  step_ = Step::alone;
  return false;
}

Result<bool> Predecessor::hand_over(const std::vector<const ControlConnection*>& clients) {
  using Word = SuccessionChannel::Word;
  Status done = let_go_of_image();
  done = done.ok() ? pass(clients) : done;
  done = done.ok() ? successor_->hear(Word::taken) : done;
  done = done.ok() ? successor_->say(Word::yours) : done;
  if (!done.ok()) {
    [[maybe_unused]] const Status said = successor_->say(Word::back);
    return done.error();
  }
  const Status mine = successor_->hear(Word::mine);
  // As long as it is there it may go on at any time.
  return mine.ok() || mine.error().kind() != ErrorKind::absent;
}

Status Predecessor::let_go_of_image() {
  if (!parts_.custody.has_image()) {
    return Error(ErrorKind::absent, "the TPM has no image");
  }
  parts_.storage.commit_without_command(); // What control requests have changed since.
  if (parts_.tpm.has_changes()) {
    return Error(ErrorKind::unsupported, "the TPM has changes that may not be on its image yet",
                 "try again when the machine has gone on");
  }
  return {};
}

std::vector<std::string> Predecessor::blob_names() const {
  std::vector<std::string> names;
  for (std::size_t each = 0; each < tpm_state_count; ++each) {
    names.push_back(parts_.tpm.blob_name(static_cast<TpmState>(each)));
  }
  return names;
}

Result<RunningTpm> Predecessor::running_tpm(const std::vector<const ControlConnection*>& clients) {
  RunningTpm tpm;
  tpm.version = parts_.tpm.version();
  tpm.image_uuid = parts_.image.state().uuid;
  const std::vector<std::string> names = blob_names();
  for (std::size_t each = 0; each < names.size(); ++each) {
    const Result<BlobInfo> blob = parts_.client.blob(names[each]);
    if (!blob.ok()) {
      return blob.error();
    }
    tpm.generations.at(each) = blob->generation;
  }
  Result<RunningState> state = parts_.tpm.running_state();
  if (!state.ok()) {
    return state.error();
  }
  tpm.state = *std::move(state);
  tpm.standing = parts_.custody.standing();
  tpm.machine_locality = parts_.worker.locality(CommandSource::vm);
  tpm.next_client = parts_.server.next_client_number();
  tpm.controller = parts_.service.controller();
  for (const ControlConnection* connection : clients) {
    const ControlClient& client = connection->client();
    tpm.clients.push_back({.number = client.number,
                           .rest = connection->rest(),
                           .blob_type = client.blob_type,
                           .blob = SecretBytes(std::span<const std::byte>(client.blob))});
  }
  return tpm;
}

Status Predecessor::pass(const std::vector<const ControlConnection*>& clients) {
  Result<RunningTpm> tpm = running_tpm(clients);
  if (!tpm.ok()) {
    return tpm.error();
  }
  std::vector<int> sockets;
  TpmWorker::VmConnection machine = parts_.worker.vm_connection();
  if (machine.socket >= 0) {
    sockets.push_back(machine.socket);
    tpm->machine = std::move(machine.rest);
  }
  for (const ControlConnection* client : clients) {
    sockets.push_back(client->fd());
  }
  // From here on the blobs are whose session claims them.
  if (Status given_up = parts_.client.claim({}); !given_up.ok()) {
    return given_up;
  }
  return successor_->pass(sockets, write_running_tpm(*tpm).get());
}

void Predecessor::go_on(const Error& error) {
  parts_.log.error("the TPM was not handed over, and goes on here: " + operator_text(error));
  if (const Status again = take_image_again(); !again.ok()) {
    parts_.tpm.fail();
    parts_.log.error(
        "the TPM goes into failure mode, because its blobs are not its own any more: " +
        operator_text(again.error()));
  }
  parts_.worker.go_on();
}

Status Predecessor::take_image_again() {
  if (!parts_.custody.has_image()) {
    return {};
  }
  const auto until = std::chrono::steady_clock::now() + claim_wait_max;
  for (;;) {
    const Result<TpmImage> image =
        read_tpm_image(parts_.client, parts_.image.location(),
                       {.version = parts_.tpm.version(), .blobs_prefix = parts_.blobs_prefix});
    if (image.ok()) {
      if (!parts_.tpm.matches(image->contents)) {
        parts_.log.warning("the TPM's blobs were changed meanwhile: what runs takes their place");
        parts_.tpm.replace_image();
      }
      return {};
    }
    if (image.error().kind() != ErrorKind::in_use || std::chrono::steady_clock::now() >= until) {
      return image.error();
    }
    ::poll(nullptr, 0, claim_pause_ms);
  }
}

} // namespace vnvram
