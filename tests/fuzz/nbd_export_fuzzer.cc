// The exports of the NBD plugin as a sequence of an NBD server's calls, on an image on a tmpfs,
// next to arrays of bytes: what is read is what was written, what was promised to be durable is in
// a copy of the image, and what is in a copy beyond that is what was written next, in order.
//
// An input: options as a command line has them, then calls, see ExportSession::step().
#include <algorithm>
#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "fuzz/fuzz_input.h"
#include "fuzz/image_folder.h"
#include "fuzz/require.h"
#include "nbdkit/server.h"
#include "support/random.h"
#include "vnvram/store.h"

namespace vnvram::fuzz {
namespace {

using Bytes = std::vector<std::byte>;
using Contents = std::map<std::string, Bytes, std::less<>>;

constexpr int steps_max = 60;
constexpr std::size_t connections_max = 4;
constexpr std::uint64_t image_size = std::uint64_t{320} << 10U;
constexpr std::uint64_t ring_size = std::uint64_t{64} << 10U;
const std::map<std::string, std::uint64_t, std::less<>> blob_sizes = {
    {"large", 28672}, {"odd", 5001}, {"page", 4096}, {"tiny", 1}};

struct Connection {
  std::string blob;
  std::unique_ptr<nbdkit::Export> served;
  bool has_deferred = false;
};

class ExportSession {
public:
  ExportSession();
  ExportSession(const ExportSession&) = delete;
  ExportSession& operator=(const ExportSession&) = delete;
  ~ExportSession() { close(); }

  void try_options(FuzzInput& input);
  void open(FuzzInput& input);
  void step(FuzzInput& input);

private:
  static std::string name(FuzzInput& input);
  static Bytes content(FuzzInput& input);
  /// nullptr if there is none.
  Connection* connection(FuzzInput& input);
  void connect(FuzzInput& input);
  void disconnect(FuzzInput& input);
  void write(FuzzInput& input, bool zeros);
  void read(FuzzInput& input);
  void flush(FuzzInput& input);
  void written(const std::string& blob, std::uint64_t offset, std::span<const std::byte> bytes,
               bool durable);
  void all_is_durable() { may_be_on_image_ = {now_}; }
  void compare_with_a_copy();
  void close();

  const std::string path_ = ImageFolder::get().path("image");
  std::unique_ptr<nbdkit::Server> server_;
  std::vector<Connection> connections_;
  Contents now_;
  /// What there was since the last time when all was durable, oldest first.
  std::vector<Contents> may_be_on_image_;
};

/// On `success` or with an error of this kind: true or false.
bool judge(const Status& status, bool success, ErrorKind otherwise, std::string_view call) {
  require(status.ok() == success && (success || status.error().kind() == otherwise),
          fmt::format("{}: {}", call, status ? "succeeds" : status.error().text()));
  return status.ok();
}

ExportSession::ExportSession() {
  CreateOptions options;
  options.ring_size_bytes = ring_size;
  options.force = true;
  for (const auto& [name, size_bytes] : blob_sizes) {
    options.blobs.push_back({BlobSpec{name, "test", size_bytes, "fuzz", {}}, std::nullopt});
    now_[name] = Bytes(size_bytes);
  }
  judge(create_image_file(path_, image_size, options), true, {}, "create");
  all_is_durable();
}

std::string ExportSession::name(FuzzInput& input) {
  static const std::array<std::string, 8> names = {
      "large", "odd", "page", "tiny", "", "nobody", std::string("odd\0", 4), std::string(70, 'n')};
  return names.at(input.below(names.size()));
}

/// Literally, or many bytes made of two.
Bytes ExportSession::content(FuzzInput& input) {
  const std::uint8_t length = input.byte();
  if (length < 0x80) {
    const auto bytes = input.bytes(length);
    return {bytes.begin(), bytes.end()};
  }
  return test::Random(length).bytes(input.word() % 30000);
}

/// Whatever they are, they are refused or taken, and a time is one that may be.
void ExportSession::try_options(FuzzInput& input) {
  static const std::array<std::string, 6> keys = {"image",    "sync",      "export",
                                                  "readonly", "image-key", "image-format"};
  nbdkit::Options options;
  for (std::size_t count = input.below(5); count > 0; --count) {
    const std::size_t key = input.below(keys.size() + 1);
    const auto text = [&] {
      const auto bytes = input.bytes(input.byte());
      return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    };
    const std::string given = key == keys.size() ? text() : keys.at(key);
    const Status set = options.set(given, text());
    require(set || set.error().kind() == ErrorKind::invalid_argument,
            "an option is taken or can never be right");
    require(options.sync.count() >= 0 && options.sync <= nbdkit::sync_max,
            "a write waits for no longer than it may");
  }
}

void ExportSession::open(FuzzInput& input) {
  // The clock of the last two is part of the test only when nobody looks at the image.
  static const std::array<const char*, 4> times = {"60s", "always", "1us", "10ms"};
  server_ = std::make_unique<nbdkit::Server>();
  nbdkit::Options& options = server_->options();
  judge(options.set("image", path_), true, {}, "image=");
  judge(options.set("sync", times.at(input.below(times.size()))), true, {}, "sync=");
  bool all_are_there = true;
  for (const char* key : {"export", "readonly"}) {
    for (std::size_t count = input.below(3); count > 0; --count) {
      const std::string named = name(input);
      if (options.set(key, named)) {
        all_are_there = all_are_there && blob_sizes.contains(named);
      }
    }
  }
  const Status opened = server_->open({});
  if (!judge(opened, all_are_there, ErrorKind::not_found, "open")) {
    server_ = std::make_unique<nbdkit::Server>();
    judge(server_->options().set("image", path_), true, {}, "image=");
    judge(server_->options().set("sync", "60s"), true, {}, "sync=");
    judge(server_->open({}), true, {}, "open after one that found no such blob");
  }
  judge(server_->after_fork(), true, {}, "after_fork");
}

void ExportSession::close() {
  connections_.clear();
  if (server_ != nullptr) {
    judge(server_->close(), true, {}, "close");
    server_.reset();
    all_is_durable();
    compare_with_a_copy();
  }
}

Connection* ExportSession::connection(FuzzInput& input) {
  const std::uint8_t number = input.byte();
  return connections_.empty() ? nullptr : &connections_.at(number % connections_.size());
}

void ExportSession::connect(FuzzInput& input) {
  const std::string asked = name(input);
  const bool read_only = input.below(4) == 1;
  const std::string blob = asked.empty() ? std::string(server_->default_export()) : asked;
  const auto& exports = server_->options().exports;
  const bool is_served =
      blob_sizes.contains(blob) &&
      (exports.empty() || std::find(exports.begin(), exports.end(), blob) != exports.end());
  auto connected = server_->connect(asked, read_only);
  if (!judge(connected ? Status{} : Status(connected.error()), is_served, ErrorKind::not_found,
             "connect")) {
    return;
  }
  require((*connected)->size_bytes() == now_[blob].size(), "an export is as large as its blob");
  require((*connected)->read_only() == (read_only || server_->options().read_only.contains(blob)),
          "an export is read-only when it should be");
  if (connections_.size() == connections_max) {
    connections_.erase(connections_.begin());
  }
  connections_.push_back({blob, *std::move(connected)});
}

void ExportSession::disconnect(FuzzInput& input) {
  if (const Connection* chosen = connection(input); chosen != nullptr) {
    judge(chosen->served->close(), true, {}, "close");
    if (chosen->has_deferred) {
      all_is_durable();
    }
    connections_.erase(connections_.begin() + (chosen - connections_.data()));
  }
}

void ExportSession::written(const std::string& blob, std::uint64_t offset,
                            std::span<const std::byte> bytes, bool durable) {
  std::copy(bytes.begin(), bytes.end(), now_[blob].begin() + static_cast<std::ptrdiff_t>(offset));
  may_be_on_image_.push_back(now_);
  if (durable || server_->options().sync.count() == 0) {
    all_is_durable();
  }
}

void ExportSession::write(FuzzInput& input, bool zeros) {
  Connection* chosen = connection(input);
  const std::uint64_t offset = input.word() % 30000;
  const bool durable = input.below(4) == 1;
  const Bytes bytes = zeros ? Bytes(input.word() % 30000) : content(input);
  if (chosen == nullptr || chosen->served->read_only()) {
    return;
  }
  const bool fits = offset + bytes.size() <= now_[chosen->blob].size();
  const Status done = zeros ? chosen->served->zero(offset, bytes.size(), durable)
                            : chosen->served->write(offset, bytes, durable);
  if (judge(done, fits, ErrorKind::too_large, "write")) {
    chosen->has_deferred = chosen->has_deferred || !durable;
    written(chosen->blob, offset, bytes, durable);
  }
}

void ExportSession::read(FuzzInput& input) {
  const Connection* chosen = connection(input);
  const std::uint64_t offset = input.word() % 30000;
  Bytes buffer(input.word() % 30000);
  if (chosen == nullptr) {
    return;
  }
  const Bytes& expected = now_[chosen->blob];
  const bool fits = offset + buffer.size() <= expected.size();
  if (judge(chosen->served->read(offset, buffer), fits, ErrorKind::too_large, "read")) {
    require(std::equal(buffer.begin(), buffer.end(),
                       expected.begin() + static_cast<std::ptrdiff_t>(offset)),
            fmt::format("{} bytes from {} of {} are what was written", buffer.size(), offset,
                        chosen->blob));
  }
}

void ExportSession::flush(FuzzInput& input) {
  if (const Connection* chosen = connection(input); chosen != nullptr) {
    judge(chosen->served->flush(), true, {}, "flush");
    all_is_durable();
  }
}

/// What a power cut at this moment leaves, of a device that has no cache.
void ExportSession::compare_with_a_copy() {
  if (server_ != nullptr && server_->options().sync < std::chrono::seconds(1) &&
      server_->options().sync.count() > 0) {
    return; // A commit may be on its way, and half of it in the copy.
  }
  auto device = open_device(ImageFolder::get().copy_of(path_), Access::read_only, {});
  require(device.ok(), "a copy is there");
  OpenOptions options;
  options.access = Access::read_only;
  auto store = Store::open(*std::move(device), std::move(options));
  require(store.ok(), fmt::format("a copy opens: {}", store ? "" : store.error().text()));
  Contents found;
  for (const auto& [name, size_bytes] : blob_sizes) {
    found[name] = Bytes(size_bytes);
    judge((*store)->read_range(name, 0, found[name]), true, {}, "read of a copy");
  }
  require(std::find(may_be_on_image_.begin(), may_be_on_image_.end(), found) !=
              may_be_on_image_.end(),
          "a copy holds what is durable and a beginning of what was written then");
}

void ExportSession::step(FuzzInput& input) {
  switch (input.below(12)) {
  case 0:
  case 1: connect(input); break;
  case 2: disconnect(input); break;
  case 3:
  case 4:
  case 5: write(input, false); break;
  case 6: write(input, true); break;
  case 7:
  case 8: read(input); break;
  case 9: flush(input); break;
  case 10: compare_with_a_copy(); break;
  case 11:
    close();
    open(input);
    break;
  default: break;
  }
}

} // namespace
} // namespace vnvram::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size_bytes) {
  using namespace vnvram::fuzz;
  FuzzInput input(data, size_bytes);
  ExportSession session;
  session.try_options(input);
  session.open(input);
  for (int step = 0; step < steps_max && !input.empty(); ++step) {
    session.step(input);
  }
  return 0;
}
