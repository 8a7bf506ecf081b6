// An owner's socket as a hostile session sees it: messages of owner.capnp with errors in them, and
// bytes that are none, while another session uses the same image. Whatever is said, the owner goes
// on, and what the other one was told stays true: of its blob, of which it is the only writer.
//
// An input: steps; see ServedStore::step().
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <memory>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/unique_fd.h"
#include "device/memory_device.h"
#include "fuzz/fuzz_input.h"
#include "fuzz/owner_messages.h"
#include "fuzz/require.h"
#include "fuzz/wait_readable.h"
#include "owner/image_keeper.h"
#include "rpc/remote_blob_client.h"
#include "serve/session.h"
#include "vnvram/store.h"

namespace vnvram::fuzz {
namespace {

using Bytes = std::vector<std::byte>;

constexpr int steps_max = 64;
constexpr std::size_t ours_max_bytes = 4096;

/// The image that each run begins with.
const Bytes& made_image() {
  static const Bytes image = [] {
    CreateOptions options;
    for (const char* name : {"ours", "free", "tpm2.state"}) {
      options.blobs.push_back({{.name = name,
                                .type = "test",
                                .size_max_bytes = ours_max_bytes,
                                .producer = "",
                                .attributes = {}},
                               std::nullopt});
    }
    options.ring_size_bytes = std::uint64_t{64} << 10U;
    auto disk = std::make_shared<MemoryDisk>(std::uint64_t{384} << 10U);
    MemoryDevice device(disk);
    require(create_image(device, options).ok(), "an image can be made");
    return disk->bytes();
  }();
  return image;
}

/// A hold is over as soon as somebody waits for its end.
class HastyClock final : public Clock {
public:
  [[nodiscard]] Time now() const override { return now_; }
  void wait(std::unique_lock<std::mutex>&, std::condition_variable&, Time time) override {
    now_ = std::max(now_.load(), time);
  }

private:
  std::atomic<Time> now_{Time(std::chrono::hours(1))};
};

/// A session, and the socket of who is at its other end.
class Connection {
public:
  Connection(const OwnerParts& parts, const Log& log, std::uint64_t number) {
    std::array<int, 2> ends{};
    require(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0,
            "there are descriptors left");
    ours_ = UniqueFd(ends[0]);
    Result<UniqueFd> bell = Bell::make_fd();
    require(bell.ok(), "there are descriptors left");
    session_ = std::make_unique<Session>(
        UniqueFd(ends[1]), *std::move(bell),
        Peer{.session = number, .socket = ends[1], .pid = 0, .uid = 0, .device = {}}, std::nullopt,
        parts, ConnectionLimits(), log, [] {});
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() = default;

  [[nodiscard]] UniqueFd take_socket() { return std::move(ours_); }
  void end() { session_.reset(); }

  /// As much as the owner takes before it ends the session.
  void say(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const ssize_t count =
          ::send(ours_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (count > 0) {
        bytes = bytes.subspan(static_cast<std::size_t>(count));
        continue;
      }
      if (errno != EAGAIN) {
        return;
      }
      require(wait_readable(ours_.get()), "a session that takes nothing has something to say");
      if (!take_answers()) {
        return;
      }
    }
    take_answers();
  }
  /// The owner ends the session, and not only when it is told to.
  void hang_up() {
    ::shutdown(ours_.get(), SHUT_WR);
    do {
      require(wait_readable(ours_.get()), "a session ends when its peer has gone");
    } while (take_answers());
    end();
  }

private:
  /// Those that are there. Returns false when no more can come.
  bool take_answers() {
    std::array<std::byte, 65536> buffer{};
    ssize_t count = 0;
    do {
      count = ::recv(ours_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    } while (count > 0 || (count < 0 && errno == EINTR));
    return count < 0 && errno == EAGAIN;
  }

  UniqueFd ours_;
  std::unique_ptr<Session> session_;
};

class ServedStore {
public:
  ServedStore() {
    require(keeper_.attach(std::make_unique<MemoryDevice>(disk_), {.location = "disk"}).ok(),
            "the image opens");
    Result<std::unique_ptr<RemoteBlobClient>> connected =
        RemoteBlobClient::connect(our_connection_.take_socket());
    require(connected.ok(), "a session can be had");
    client_ = *std::move(connected);
    require(client_->claim({"ours"}).ok(), "a blob can be claimed"); // Nobody else writes or seals.
    write(bytes_of("first"), 0, Durability::on_return);
    hostile_ = std::make_unique<Connection>(parts_, log_, ++last_session_);
  }

  void step(FuzzInput& input) {
    switch (input.below(8)) {
    case 0: hostile_->say(input.bytes(input.byte())); break;
    case 1: {
      const auto bytes = input.bytes(1 + input.below(32));
      const auto durability = input.below(2) == 0 ? Durability::on_return : Durability::deferred;
      write(bytes, input.word() % (ours_max_bytes - bytes.size()), durability);
      break;
    }
    case 2:
      hostile_->hang_up();
      hostile_ = std::make_unique<Connection>(parts_, log_, ++last_session_);
      break;
    case 3: hostile_->say(lane_message(input)); break;
    default: hostile_->say(owner_message(input)); break;
    }
    must_be_there();
  }

  void finish() {
    hostile_->hang_up();
    write(bytes_of("last"), 0, Durability::deferred);
    require(client_->flush().ok(), "what is ours can be flushed");
    must_be_there();
    client_.reset();
    our_connection_.end();
    require(keeper_.detach().ok(), "the image closes");
    MemoryDevice device(disk_, Access::read_only);
    const auto report = check_image(device);
    require(report.ok() && report->clean(), "the image is whole");
    const auto store = Store::open(std::make_unique<MemoryDevice>(disk_),
                                   {.access = Access::read_only, .background = false});
    require(store.ok(), "the image opens again");
    const auto content = (*store)->read("ours");
    require(content.ok() && *content == content_, "what was acknowledged is on the image");
  }

private:
  static std::span<const std::byte> bytes_of(std::string_view text) {
    return std::as_bytes(std::span(text));
  }

  void write(std::span<const std::byte> bytes, std::size_t offset, Durability durability) {
    const Status written = client_->write("ours", offset, bytes, durability);
    require(written.ok(), "what is ours can be written");
    content_.resize(std::max(content_.size(), offset + bytes.size()));
    std::ranges::copy(bytes, content_.begin() + static_cast<std::ptrdiff_t>(offset));
  }
  void must_be_there() {
    const auto content = client_->read_all("ours");
    require(content.ok() && *content == content_, "what was acknowledged is there");
  }

  const Log log_{"test", LogLevel::error};
  HastyClock clock_;
  std::shared_ptr<MemoryDisk> disk_ = std::make_shared<MemoryDisk>(made_image());
  ImageKeeper keeper_{{.store = {.background = false}}};
  BlobWriters writers_;
  EventLog events_;
  SessionList list_;
  HandOver hand_over_;
  HoldClock holds_{keeper_, clock_};
  ImageNews image_{keeper_, events_};
  FullnessWatch fullness_{clock_, [](const NearlyFull&) {}};
  ServiceCounters counters_;
  FrontEndRenewal front_ends_{{}};
  Roundup roundup_{[](std::uint64_t) { return true; }};
  HeaderChanges header_{keeper_};
  Departure departure_{keeper_, holds_, hand_over_, {}};
  const OwnerParts parts_{"disk",      keeper_,  writers_,  events_,   holds_, list_,
                          hand_over_,  image_,   fullness_, counters_, {},     {},
                          front_ends_, roundup_, header_,   departure_};
  std::uint64_t last_session_ = 1;
  Connection our_connection_{parts_, log_, 1};
  std::unique_ptr<RemoteBlobClient> client_;
  std::unique_ptr<Connection> hostile_;
  Bytes content_;
};

} // namespace
} // namespace vnvram::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size_bytes) {
  using namespace vnvram::fuzz;
  FuzzInput input(data, size_bytes);
  ServedStore store;
  for (int step = 0; step < steps_max && !input.empty(); ++step) {
    store.step(input);
  }
  store.finish();
  return 0;
}
