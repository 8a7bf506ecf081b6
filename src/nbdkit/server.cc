#include "nbdkit/server.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include <fmt/core.h>

#include "client/local_blob_client.h"
#include "device/left_behind.h"
#include "device/location.h"
#include "device/rbd_location.h"
#include "nbdkit/owner_connection.h"
#include "service/idle_memory.h"
#include "service/private_memory.h"

namespace vnvram::nbdkit {

namespace {

const BlobInfo* find(const std::vector<BlobInfo>& blobs, std::string_view name) {
  const auto found = std::find_if(blobs.begin(), blobs.end(),
                                  [&](const BlobInfo& blob) { return blob.name == name; });
  return found == blobs.end() ? nullptr : &*found;
}

} // namespace

Error Server::no_such_blob(std::string_view name) const {
  std::string names;
  for (const BlobInfo& blob : blobs_) {
    names += (names.empty() ? "" : ", ") + blob.name;
  }
  return {ErrorKind::not_found,
          name.empty() ? fmt::format("{}: no export named, and none is the default", options_.image)
                       : fmt::format("{}: no blob {} to export", options_.image, name),
          names.empty() ? "vnvram register adds blobs" : fmt::format("there are: {}", names)};
}

Status Server::open(std::function<void(const Error&)> failed_in_background) {
  if (options_.image.empty()) {
    return Error(ErrorKind::invalid_argument, "no image named",
                 "nbdkit vnvram IMAGE; vnvram create makes one");
  }
  failed_in_background_ = failed_in_background;
  const bool is_owned = scheme_of(options_.image) == LocationScheme::owner;
  Status opened = is_owned ? join_owner() : open_image(std::move(failed_in_background));
  if (!opened) {
    claims_.reset();
    client_.reset();
    keeper_.reset();
    return opened;
  }
  auto all = client_->blobs();
  const Status chosen = all ? choose_blobs(*std::move(all)) : Status(all.error());
  if (!chosen) {
    const Status closed = close();
    return closed ? chosen : closed;
  }
  return is_reopened() ? reopenable() : Status();
}

// Its threads would stay behind in the process that a daemon leaves.
bool Server::is_reopened() const {
  return keeper_ != nullptr && has_own_threads(options_.image);
}

Status Server::reopenable() {
  KeyRing keys = options_.keys;
  keys.read_ahead(); // A file of them may be gone by then.
  if (Status closed = keeper_->detach(); !closed) {
    return closed;
  }
  if (count_left_behind() != 0) { // Threads, which may hold any lock while nbdkit forks.
    return Error(ErrorKind::io,
                 options_.image + ": closing it does not come to an end, and no daemon can be made "
                                  "of this process before it does",
                 "start it again when the cluster answers");
  }
  return {};
}

// Somebody else may have been its owner since it was closed.
Status Server::open_again() {
  if (Status opened = keeper_->attach({.location = options_.image}); !opened) {
    return opened;
  }
  auto all = client_->blobs();
  return all ? choose_blobs(*std::move(all)) : Status(all.error());
}

Status Server::open_image(std::function<void(const Error&)> failed_in_background) {
  Status fit = options_.check_for_own_image();
  if (fit && scheme_of(options_.image) == LocationScheme::rbd) {
    const Result<RbdLocation> location = RbdLocation::parse(options_.image);
    fit = location ? location->check_names_of_files() : location.error();
  }
  if (!fit) {
    return fit;
  }
  ImageKeeper::Setup setup{.device = options_.device,
                           .store = {},
                           .space = options_.space,
                           .space_warned = failed_in_background,
                           .reserve = options_.reserve};
  setup.store.deferral = options_.sync;
  setup.store.threads_late = true; // For after_fork().
  setup.store.keys = options_.keys;
  setup.store.came_to_rest = give_back_all_memory;
  if (!options_.keys.empty()) {
    keep_memory_private();
  }
  if (!options_.anchor.empty()) {
    Result<std::shared_ptr<Anchor>> anchor = open_anchor(options_.anchor);
    if (!anchor) {
      return anchor.error();
    }
    setup.store.anchor = {.anchor = *std::move(anchor),
                          .policy = options_.anchor_policy.value_or(AnchorPolicy{})};
  }
  keeper_ = std::make_unique<ImageKeeper>(std::move(setup));
  client_ = std::make_unique<LocalBlobClient>(*keeper_);
  claims_.emplace(*client_);
  client_->watch_failures(std::move(failed_in_background));
  return keeper_->attach({.location = options_.image, .take_over = options_.take_over});
}

Status Server::join_owner() {
  if (Status fit = options_.check_for_owner(); !fit) {
    return fit;
  }
  Result<std::unique_ptr<BlobClient>> client = connect_to_owner(
      options_.image, std::chrono::ceil<std::chrono::milliseconds>(options_.reconnect));
  if (!client) {
    return client.error();
  }
  claims_.reset();
  client_ = *std::move(client);
  claims_.emplace(*client_);
  joined_by_pid_ = ::getpid();
  return {};
}

Status Server::after_fork() {
  if (keeper_ != nullptr) {
    const Status adopted = is_reopened() ? open_again() : keeper_->adopt_after_fork();
    give_back_all_memory(); // Opening took more than serving does, and nobody says when it rests.
    return adopted;
  }
  const bool is_another = ::getpid() != joined_by_pid_;
  if (Status connected = is_another ? join_owner() : Status(); !connected) {
    return connected;
  }
  client_->watch_failures(failed_in_background_);
  if (is_started_again(options_.image)) {
    auto end = OrderlyEnd::prepare([this] { return client_->flush(); });
    if (!end) {
      return end.error();
    }
    end_ = *std::move(end);
  }
  give_back_all_memory();
  // Connections have threads of nbdkit's, which are started later.
  return options_.seccomp ? give_up_rights(options_.image, *options_.seccomp) : Status();
}

Status Server::choose_blobs(std::vector<BlobInfo> all) {
  blobs_ = std::move(all);
  for (const std::string& name : options_.read_only) {
    if (find(blobs_, name) == nullptr) {
      return no_such_blob(name);
    }
  }
  std::vector<BlobInfo> chosen;
  for (const std::string& name : options_.exports) {
    const BlobInfo* blob = find(blobs_, name);
    if (blob == nullptr) {
      return no_such_blob(name);
    }
    if (find(chosen, name) == nullptr) {
      chosen.push_back(*blob);
    }
  }
  if (!options_.exports.empty()) {
    blobs_ = std::move(chosen);
  }
  return {};
}

Status Server::close() {
  end_.reset();
  if (client_ == nullptr) {
    return {};
  }
  Status closed = keeper_ != nullptr ? keeper_->detach() : client_->close();
  claims_.reset();
  client_.reset(); // It has heard of what failed until now.
  keeper_.reset();
  return closed;
}

std::string_view Server::default_export() const {
  return options_.exports.empty() && blobs_.size() != 1 ? std::string_view{} : blobs_.front().name;
}

Result<std::unique_ptr<Export>> Server::connect(std::string_view name, bool read_only) {
  const BlobInfo* blob = find(blobs_, name.empty() ? default_export() : name);
  if (blob == nullptr) {
    return no_such_blob(name);
  }
  auto connection = std::make_unique<Export>(*client_, *claims_, *blob,
                                             read_only || options_.read_only.contains(blob->name),
                                             options_.sync.count() == 0);
  if (Status claimed = connection->claim(); !claimed) {
    return claimed.error();
  }
  return connection;
}

} // namespace vnvram::nbdkit
