// The control channel as its clients see it: bytes in any pieces, from several clients at once, and
// TPM commands on the socket that QEMU hands over. The real libtpms and a real store are behind it.
//
// An input: flags, then steps; see ControlChannel::step().
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "base/big_endian.h"
#include "base/unique_fd.h"
#include "client/local_blob_client.h"
#include "convert/swtpm_state_blob.h"
#include "device/memory_device.h"
#include "fuzz/control_talker.h"
#include "fuzz/fuzz_input.h"
#include "fuzz/require.h"
#include "fuzz/wait_readable.h"
#include "owner/image_keeper.h"
#include "soft_tpm/soft_tpm.h"
#include "soft_tpm/tpm_blobs.h"
#include "tpm/adopted_image.h"
#include "tpm/control_service.h"
#include "tpm/custody.h"
#include "tpm/image_trouble.h"
#include "tpm/tpm_storage.h"
#include "tpm/tpm_worker.h"
#include "vnvram/store.h"

namespace vnvram::fuzz {
namespace {

using Bytes = std::vector<std::byte>;
using Contents = std::vector<Bytes>;

constexpr int steps_max = 48;
constexpr std::size_t tpm_header_size_bytes = 10;
constexpr std::size_t tpm_response_max_bytes = 65536;

/// A TPM that was made, and the image that it was made on: the same for every run.
struct MadeTpm {
  std::vector<BlobSpec> specs;
  Contents contents;
  Bytes image;
};

MadeTpm make_tpm(TpmVersion version) {
  MadeTpm made;
  made.specs = tpm_blob_specs(version);
  made.contents.resize(tpm_state_count);
  SoftTpm tpm(version, made.specs, Contents(tpm_state_count), Manufacture::allowed);
  require(tpm.verify().ok(), "a TPM can be made");
  CreateOptions options;
  for (std::size_t state = 0; state < tpm_state_count; ++state) {
    require(tpm.get_state(static_cast<TpmState>(state), made.contents[state]) == tpm_success,
            "a stopped TPM shows its state");
    options.blobs.push_back({made.specs[state], made.contents[state]});
  }
  options.ring_size_bytes = std::uint64_t{1} << 20U;
  const auto size = required_size_bytes(made.specs, options.ring_size_bytes);
  require(size.ok(), "a TPM fits an image");
  auto disk = std::make_shared<MemoryDisk>(*size);
  MemoryDevice device(disk);
  require(create_image(device, options).ok(), "a TPM's image can be made");
  made.image = disk->bytes();
  return made;
}

const MadeTpm& made_tpm(TpmVersion version) {
  static const std::array<MadeTpm, 2> made = {make_tpm(TpmVersion::tpm1_2),
                                              make_tpm(TpmVersion::tpm2_0)};
  return made.at(static_cast<std::size_t>(version));
}

class ControlChannel {
public:
  explicit ControlChannel(TpmVersion version)
      : version_(version), made_(made_tpm(version)),
        disk_(std::make_shared<MemoryDisk>(made_.image)),
        // The library has one version at a time.
        tpm_(version, tpm_blob_specs(version), made_.contents, Manufacture::forbidden),
        worker_(tpm_, custody_, storage_, wake_fd(), ConnectionLimits(), log_),
        service_(tpm_, custody_, image_, worker_, log_) {
    require(keeper_.attach(std::make_unique<MemoryDevice>(disk_), {.location = "disk"}).ok(),
            "the TPM's image opens");
    TpmImage image;
    image.state = *client_.state();
    image.specs = made_.specs;
    require(image_.start_with(image).ok(), "the TPM's image has its blobs");
    worker_.serve(nullptr);
  }

  void step(FuzzInput& input) {
    enum Step : std::uint8_t {
      talk,
      request,
      hand_over,
      hand_over_anyhow,
      command,
      leave,
      monitor_leaves,
      wrapped_state,
      hand_over_kind,
      count
    };
    switch (static_cast<Step>(input.below(count))) {
    case talk: client(input).talk(service_, input.bytes(input.byte())); break;
    case request: {
      // A command number that exists, and whatever follows.
      Bytes bytes(4);
      store_big_endian(std::span(bytes), 0, static_cast<std::uint32_t>(input.below(0x14)));
      const auto rest = input.bytes(input.byte() % 64);
      bytes.insert(bytes.end(), rest.begin(), rest.end());
      client(input).talk(service_, bytes);
      break;
    }
    case hand_over: hand_over_command_socket(); break;
    case hand_over_anyhow: {
      auto [ours, theirs] = socket_pair();
      client(input).talk(service_, input.bytes(input.byte()), theirs.get());
      break;
    }
    case command: run_command(input); break;
    case leave: replace(client(input)); break;
    case monitor_leaves:
      replace(monitor_);
      command_socket_.reset();
      break;
    case wrapped_state: set_wrapped_state(input); break;
    case hand_over_kind: hand_over_what_is_no_stream(input); break;
    case count: break;
    }
  }

  /// The service still answers, and what the TPM's clients were told is on the image.
  void finish() {
    static constexpr std::array get_capability = {std::byte{0}, std::byte{0}, std::byte{0},
                                                  std::byte{1}};
    ControlTalker last(next_number_++, CommandSource::vm, false);
    require(last.talk(service_, get_capability).size() == sizeof(std::uint64_t),
            "the service answers");
    tpm_.stop();
    custody_.take_back();
    worker_.stop();
    require(storage_.close().ok(), "the store closes");
    require(!tpm_.failed(), "no commit failed");
    require(!tpm_.has_changes(), "every change was committed");
    MemoryDevice device(disk_, Access::read_only);
    const auto report = check_image(device);
    require(report.ok() && report->clean(), "the image is whole");
  }

private:
  static UniqueFd wake_fd() {
    Result<UniqueFd> made = TpmWorker::make_wake_fd();
    require(made.ok(), "there are descriptors left");
    return *std::move(made);
  }

  ControlTalker& client(FuzzInput& input) { return clients_.at(input.below(clients_.size())); }

  void replace(ControlTalker& leaving) {
    const ControlClient& old = leaving.identity();
    service_.client_gone(old);
    leaving = ControlTalker(next_number_++, old.source, old.over_network);
  }

  /// By a client that says nothing else, so that it is known what must come of it.
  void hand_over_command_socket() {
    static constexpr std::array set_data_fd = {std::byte{0}, std::byte{0}, std::byte{0},
                                               std::byte{0x10}};
    auto [ours, theirs] = socket_pair();
    const Bytes reply = monitor_.talk(service_, set_data_fd, theirs.get());
    require(reply.size() == 4, "SET_DATAFD is answered");
    if (load_big_endian<std::uint32_t>(reply, 0) == tpm_success) {
      command_socket_ = std::move(ours);
    }
  }

  /// A state of this TPM as swtpm would send it, with some of its first bytes changed, or cut.
  void set_wrapped_state(FuzzInput& input) {
    const std::size_t state = input.below(tpm_state_count);
    Bytes blob = SwtpmStateBlob::wrap(made_.contents[state]);
    const std::uint32_t flags = input.byte();
    for (std::size_t edits = input.below(8); edits > 0; --edits) {
      const std::size_t place = input.byte();
      const auto change = std::byte{input.byte()};
      if (place < blob.size()) {
        blob[place] ^= change;
      }
    }
    blob.erase(blob.end() -
                   static_cast<std::ptrdiff_t>(std::min<std::size_t>(blob.size(), input.byte())),
               blob.end());
    Bytes request(16);
    store_big_endian(std::span(request), 0, std::uint32_t{0x0d});
    store_big_endian(std::span(request), 4, flags);
    store_big_endian(std::span(request), 8, static_cast<std::uint32_t>(state + 1));
    store_big_endian(std::span(request), 12, static_cast<std::uint32_t>(blob.size()));
    request.insert(request.end(), blob.begin(), blob.end());
    require(monitor_.talk(service_, request).size() == 4, "SET_STATEBLOB is answered");
  }

  void hand_over_what_is_no_stream(FuzzInput& input) {
    static constexpr std::array set_data_fd = {std::byte{0}, std::byte{0}, std::byte{0},
                                               std::byte{0x10}};
    const auto [kept, given] = no_stream(input.below(8));
    require(given.valid(), "there are descriptors left");
    const Bytes reply = monitor_.talk(service_, set_data_fd, given.get());
    require(reply.size() == 4 && load_big_endian<std::uint32_t>(reply, 0) != tpm_success,
            "what can carry no command is refused as command socket");
  }

  /// The other end, if there is one, and what is handed over.
  static std::pair<UniqueFd, UniqueFd> no_stream(std::size_t kind) {
    std::array<int, 2> fds = {-1, -1};
    switch (kind) {
    case 0:
    case 1:
      require(::socketpair(AF_UNIX, (kind == 0 ? SOCK_DGRAM : SOCK_SEQPACKET) | SOCK_CLOEXEC, 0,
                           fds.data()) == 0,
              "there are descriptors left");
      break;
    case 2: require(::pipe2(fds.data(), O_CLOEXEC) == 0, "there are descriptors left"); break;
    case 3: fds[1] = ::eventfd(1, EFD_CLOEXEC); break;
    case 4: fds[1] = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0); break; // Not connected,
    case 5: // and one that listens.
      fds[1] = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
      require(::listen(bound(fds[1]), 1) == 0, "a socket listens");
      break;
    case 6: fds[1] = ::open("/dev/null", O_RDWR | O_CLOEXEC); break;
    default: fds[1] = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); break;
    }
    return {UniqueFd(fds[0]), UniqueFd(fds[1])};
  }

  /// To a name that the kernel makes up.
  static int bound(int fd) {
    const sockaddr address{.sa_family = AF_UNIX, .sa_data = {}};
    require(::bind(fd, &address, sizeof(address.sa_family)) == 0, "a socket gets a name");
    return fd;
  }

  /// One TPM command of the right length; a response of the length that it names must come.
  void run_command(FuzzInput& input) {
    const bool framed = version_ == TpmVersion::tpm2_0 && input.below(4) == 0;
    const auto body = input.bytes(input.byte());
    if (!command_socket_.valid()) {
      return;
    }
    // A state that was handed over is ours again, or commands would wait, or fail uncommitted.
    custody_.take_back();
    worker_.wake();
    Bytes command(6);
    store_big_endian(std::span(command), 0,
                     static_cast<std::uint16_t>(version_ == TpmVersion::tpm2_0 ? 0x8001 : 0xc1));
    command.insert(command.end(), body.begin(), body.end());
    command.resize(std::max(command.size(), tpm_header_size_bytes));
    store_big_endian(std::span(command), 2, static_cast<std::uint32_t>(command.size()));
    if (framed) {
      frame(command, static_cast<std::byte>(input.byte()));
    }
    const std::size_t frame_bytes = framed ? sizeof(std::uint32_t) : 0;
    if (::send(command_socket_.get(), command.data(), command.size(), MSG_NOSIGNAL) < 0) {
      command_socket_.reset(); // Another client has handed over a socket since.
      return;
    }
    const Bytes begin = receive_exactly(frame_bytes + tpm_header_size_bytes);
    if (begin.empty()) {
      return;
    }
    const auto length = load_big_endian<std::uint32_t>(begin, frame_bytes + 2);
    require(length >= tpm_header_size_bytes && length <= tpm_response_max_bytes,
            "a response says how long it is");
    receive_exactly(length - tpm_header_size_bytes + frame_bytes);
    require(!tpm_.has_changes(), "what a command changed is committed before it is answered");
  }

  static void frame(Bytes& command, std::byte locality) {
    Bytes head(9);
    store_big_endian(std::span(head), 0, std::uint32_t{8});
    head[4] = locality;
    store_big_endian(std::span(head), 5, static_cast<std::uint32_t>(command.size()));
    command.insert(command.begin(), head.begin(), head.end());
  }

  /// Nothing if the command socket is not served any more.
  Bytes receive_exactly(std::size_t count) {
    Bytes bytes(count);
    for (std::size_t done = 0; done < count;) {
      require(wait_readable(command_socket_.get()), "a command is answered");
      const ssize_t received =
          ::recv(command_socket_.get(), bytes.data() + done, count - done, MSG_DONTWAIT);
      if (received <= 0) {
        command_socket_.reset();
        return {};
      }
      done += static_cast<std::size_t>(received);
    }
    return bytes;
  }

  TpmVersion version_;
  const MadeTpm& made_;
  const Log log_{"test", LogLevel::error};
  std::shared_ptr<MemoryDisk> disk_;
  SoftTpm tpm_;
  Custody custody_{tpm_, {}, log_};
  ImageKeeper keeper_{{.store = {.background = false}}};
  LocalBlobClient client_{keeper_};
  ImageTrouble trouble_{client_, log_};
  AdoptedImage image_{tpm_, custody_, client_, "disk", log_};
  TpmStorage storage_{{tpm_, custody_, image_, &keeper_, client_, trouble_, log_}, {}};
  TpmWorker worker_;
  ControlService service_;
  std::uint64_t next_number_ = 10;
  std::array<ControlTalker, 3> clients_ = {ControlTalker(1, CommandSource::vm, false),
                                           ControlTalker(2, CommandSource::vm, false),
                                           ControlTalker(3, CommandSource::server, true)};
  ControlTalker monitor_{4, CommandSource::vm, false};
  UniqueFd command_socket_;
};

} // namespace
} // namespace vnvram::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size_bytes) {
  using namespace vnvram::fuzz;
  FuzzInput input(data, size_bytes);
  ControlChannel channel(input.byte() == 0xff ? vnvram::TpmVersion::tpm1_2
                                              : vnvram::TpmVersion::tpm2_0);
  for (int step = 0; step < steps_max && !input.empty(); ++step) {
    channel.step(input);
  }
  channel.finish();
  return 0;
}
