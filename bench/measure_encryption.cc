// What encryption costs: commits of a plain image and of an encrypted one in turn, and openings.
#include <array>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include <fmt/core.h>

#include "bench/bench_image.h"
#include "bench/full_ring.h"
#include "bench/measurements.h"
#include "bench/stopwatch.h"
#include "support/random.h"

namespace vnvram::bench {
namespace {

constexpr std::uint64_t compared_size_bytes = std::uint64_t{4} << 20U;
constexpr std::array<std::uint64_t, 3> commit_sizes_bytes = {16, 3072, std::uint64_t{64} << 10U};
const std::string written_blob = "512-KiB";

/// A key that is in a file, as an operator gives it.
class KeyFile {
public:
  explicit KeyFile(std::string path) : path_(std::move(path)) {
    std::ofstream(path_) << "a key for what is measured";
  }
  ~KeyFile() {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }
  KeyFile(const KeyFile&) = delete;
  KeyFile& operator=(const KeyFile&) = delete;
  [[nodiscard]] KeySource source() const { return require(KeySource::parse("file:" + path_)); }

private:
  std::string path_;
};

/// A file with an image, plain or encrypted.
class Compared {
public:
  Compared(std::string path, const KeyFile* key) : path_(std::move(path)), key_(key) {
    CreateOptions options = options_for(range_blobs());
    if (key_ != nullptr) {
      options.key_slots.push_back({.source = key_->source()});
    }
    require(create_image_file(path_, compared_size_bytes, options));
  }
  ~Compared() {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }
  Compared(const Compared&) = delete;
  Compared& operator=(const Compared&) = delete;

  [[nodiscard]] std::unique_ptr<Store>
  open(const std::string& path,
       const std::shared_ptr<test::DeviceCounter>& counter = nullptr) const {
    std::unique_ptr<BlockDevice> device = require(open_device(path, Access::read_write));
    if (counter != nullptr) {
      device = std::make_unique<test::CountingDevice>(std::move(device), counter);
    }
    OpenOptions options;
    options.background = false;
    options.keys = keys();
    return require(Store::open(std::move(device), std::move(options)));
  }
  /// New ones: they know nothing of earlier openings.
  [[nodiscard]] KeyRing keys() const {
    return key_ != nullptr ? KeyRing({key_->source()}) : KeyRing();
  }
  [[nodiscard]] const std::string& path() const { return path_; }

private:
  std::string path_;
  const KeyFile* key_;
};

void write_some(Store& store, std::uint64_t size_bytes, std::uint64_t count) {
  const std::vector<std::byte> bytes = test::Random(count + 1).bytes(size_bytes);
  require(store.write_range(written_blob, (count % 8) * block_size_bytes, bytes));
}

double time_opening_of(const Compared& image, const std::string& busy) {
  const std::string copy = busy + ".opened";
  copy_durably(busy, copy);
  std::unique_ptr<Store> store;
  const double taken = microseconds([&] { store = image.open(copy); });
  store.reset();
  std::filesystem::remove(copy);
  return taken;
}

} // namespace

EncryptionResult measure_encryption(const std::string& directory, const Amount& amount) {
  const KeyFile key(directory + "/key");
  const Compared plain(directory + "/plain", nullptr);
  const Compared sealed(directory + "/sealed", &key);
  EncryptionResult result;
  {
    const auto counter = std::make_shared<test::DeviceCounter>();
    const std::unique_ptr<Store> store = sealed.open(sealed.path(), counter);
    const test::DeviceCost before = counter->cost();
    write_some(*store, commit_sizes_bytes[1], 0);
    result.commit = counter->cost() - before;
  }
  {
    const std::unique_ptr<Store> plain_store = plain.open(plain.path());
    const std::unique_ptr<Store> sealed_store = sealed.open(sealed.path());
    for (const std::uint64_t size_bytes : commit_sizes_bytes) {
      EncryptionTimes times{.what = fmt::format("a commit of {} bytes", size_bytes)};
      for (std::uint64_t i = 0; i < amount.timed_commits; ++i) {
        times.plain.add(microseconds([&] { write_some(*plain_store, size_bytes, i); }));
        times.encrypted.add(microseconds([&] { write_some(*sealed_store, size_bytes, i); }));
      }
      result.times.push_back(std::move(times));
    }
  }
  const std::string busy_plain = directory + "/busy-plain";
  const std::string busy_sealed = directory + "/busy-sealed";
  copy_with_full_ring(plain.path(), plain.keys(), busy_plain);
  const RingUse ring = copy_with_full_ring(sealed.path(), sealed.keys(), busy_sealed);
  EncryptionTimes opening{.what = fmt::format("opening 4 MiB, {} KiB of ring in use, key in a file",
                                              ring.used_bytes >> 10U)};
  for (unsigned i = 0; i < amount.openings; ++i) {
    opening.plain.add(time_opening_of(plain, busy_plain));
    opening.encrypted.add(time_opening_of(sealed, busy_sealed));
  }
  result.times.push_back(std::move(opening));
  std::filesystem::remove(busy_plain);
  std::filesystem::remove(busy_sealed);
  return result;
}

} // namespace vnvram::bench
