// What it costs to ask an owner over its socket, next to having the image in one's own process.
#include <array>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <thread>
#include <vector>

#include "base/system_clock.h"
#include "bench/bench_image.h"
#include "bench/measurements.h"
#include "bench/stopwatch.h"
#include "client/local_blob_client.h"
#include "rpc/remote_blob_client.h"
#include "rpc/socket_connection.h"
#include "serve/owner_server.h"
#include "support/temporary_directory.h"

namespace vnvram::bench {
namespace {

constexpr std::uint64_t remote_image_size_bytes = std::uint64_t{4} << 20U;
constexpr std::uint64_t blob_bytes = 8192;
constexpr std::size_t commit_bytes = 16;
constexpr unsigned session_count = 16;

/// Each session has a blob of its own.
std::vector<BenchBlob> session_blobs() {
  std::vector<BenchBlob> blobs;
  for (unsigned number = 0; number < session_count; ++number) {
    blobs.push_back({"session" + std::to_string(number), blob_bytes});
  }
  return blobs;
}

/// An image, open in an owner of this process that serves it.
class ServedImage {
public:
  explicit ServedImage(const std::string& directory)
      : image_(directory, remote_image_size_bytes, session_blobs()),
        socket_path_(folder_.path("control")),
        listener_(require(Listener::open(require(parse_socket_address("unix:" + socket_path_)),
                                         SocketAccess{}))) {
    require(keeper_.attach({.location = image_.path()}));
    server_ = require(OwnerServer::start({.keeper = keeper_,
                                          .location = image_.path(),
                                          .listener = listener_,
                                          .limits = {},
                                          .clock = clock_,
                                          .log = log_}));
  }

  /// As front ends do that outlive their owner.
  [[nodiscard]] std::unique_ptr<BlobClient> connect() const {
    return require(RemoteBlobClient::connect(
        {.connect = [path = socket_path_] { return connect_to_socket(path, ""); }}));
  }
  void close() {
    server_.reset();
    require(keeper_.detach());
  }

private:
  test::TemporaryDirectory folder_{"/tmp"}; // A socket's path is short.
  BenchImage image_;
  std::string socket_path_;
  Log log_{"test", LogLevel::error};
  SystemClock clock_;
  Listener listener_;
  ImageKeeper keeper_{{}};
  std::unique_ptr<OwnerServer> server_;
};

/// 16 bytes that are others each time.
void commit(BlobClient& client, const std::string& blob, std::uint64_t number) {
  std::array<std::byte, commit_bytes> bytes{};
  for (std::size_t index = 0; index < sizeof(number); ++index) {
    bytes.at(index) = static_cast<std::byte>(number >> (8 * index));
  }
  const std::uint64_t offset_bytes = number * commit_bytes % blob_bytes;
  require(client.write(blob, offset_bytes, bytes, Durability::on_return));
}

double commits_per_second(const ServedImage& image, unsigned sessions, double seconds) {
  std::vector<std::unique_ptr<BlobClient>> clients;
  for (unsigned number = 0; number < sessions; ++number) {
    clients.push_back(image.connect());
  }
  std::atomic<std::uint64_t> count = 0;
  std::atomic<bool> stop = false;
  const auto start = std::chrono::steady_clock::now();
  {
    std::vector<std::jthread> threads;
    for (unsigned number = 0; number < sessions; ++number) {
      threads.emplace_back([&, number] {
        const std::string blob = "session" + std::to_string(number);
        for (std::uint64_t round = 1; !stop; ++round) {
          commit(*clients[number], blob, round);
          ++count;
        }
      });
    }
    std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
    stop = true;
  }
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  return static_cast<double>(count) / taken.count();
}

} // namespace

RemoteResult measure_remote(const std::string& directory, const Amount& amount) {
  ServedImage served(directory);
  const std::string beside = directory + "/beside"; // Images have one name.
  std::filesystem::create_directory(beside);
  const BenchImage own(beside, remote_image_size_bytes, session_blobs());
  ImageKeeper keeper({});
  require(keeper.attach({.location = own.path()}));
  LocalBlobClient local(keeper);
  RemoteResult result;
  {
    const std::unique_ptr<BlobClient> remote = served.connect();
    for (std::uint64_t number = 1; number <= amount.timed_commits; ++number) {
      result.local.add(microseconds([&] { commit(local, "session0", number); }));
      result.remote.add(microseconds([&] { commit(*remote, "session0", number); }));
    }
  }
  result.sessions = session_count;
  Times one;
  Times many;
  for (unsigned round = 0; round < amount.thread_rounds; ++round) {
    one.add(commits_per_second(served, 1, amount.thread_seconds));
    many.add(commits_per_second(served, session_count, amount.thread_seconds));
  }
  result.one_per_second = one.p50();
  result.many_per_second = many.p50();
  served.close();
  require(keeper.detach());
  return result;
}

} // namespace vnvram::bench
