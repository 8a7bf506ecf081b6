#include "bench/bench_image.h"

#include <cstring>
#include <filesystem>
#include <stdexcept>

#include <fmt/core.h>

#include "support/random.h"

namespace vnvram::bench {
namespace {

constexpr std::uint64_t range_size_bytes = 3072;

std::vector<BenchBlob> blobs_named(const std::string& suffix) {
  std::vector<BenchBlob> blobs;
  for (const std::uint64_t kibibytes : {8U, 128U, 512U}) {
    blobs.push_back(
        {.name = fmt::format("{}-KiB{}", kibibytes, suffix), .size_bytes = kibibytes << 10U});
  }
  return blobs;
}

std::vector<std::byte> first_content(const BenchBlob& blob) {
  return test::Random(blob.size_bytes).bytes(blob.size_bytes);
}

CommitKind range_commit(const BenchBlob& blob) {
  // Starting at one fixed place in its page, so that one page changes each time.
  return {.name = fmt::format("{} KiB blob, a range of {} bytes", blob.size_bytes >> 10U,
                              range_size_bytes),
          .commit = [blob, count = std::uint64_t{0}](Store& store) mutable {
            ++count;
            const std::uint64_t page = count % (blob.size_bytes / block_size_bytes);
            std::vector<std::byte> bytes(range_size_bytes);
            for (std::size_t i = 0; i < bytes.size(); i += sizeof count) {
              const std::uint64_t word = count * 0x9E3779B97F4A7C15U + i;
              std::memcpy(bytes.data() + i, &word, sizeof word);
            }
            require(store.write_range(blob.name, page * block_size_bytes + 512, bytes));
          }};
}

CommitKind whole_commit(const BenchBlob& blob) {
  return {.name = fmt::format("{} KiB blob, all of it, 8 bytes differ", blob.size_bytes >> 10U),
          .commit = [blob, content = first_content(blob),
                     count = std::uint64_t{0}](Store& store) mutable {
            ++count;
            std::memcpy(content.data() + blob.size_bytes / 2, &count, sizeof count);
            require(store.write(blob.name, content));
          }};
}

} // namespace

const std::vector<BenchBlob>& range_blobs() {
  static const std::vector<BenchBlob> blobs = blobs_named("");
  return blobs;
}

const std::vector<BenchBlob>& whole_blobs() {
  static const std::vector<BenchBlob> blobs = blobs_named(".whole");
  return blobs;
}

void require(const Status& status) {
  if (!status) {
    throw std::runtime_error(status.error().text());
  }
}

CreateOptions options_for(const std::vector<BenchBlob>& blobs) {
  CreateOptions options;
  options.force = true;
  for (const BenchBlob& blob : blobs) {
    options.blobs.push_back({.spec = {.name = blob.name,
                                      .type = "bench",
                                      .size_max_bytes = blob.size_bytes,
                                      .producer = "vnvram-bench"},
                             .content = first_content(blob)});
  }
  return options;
}

BenchImage::BenchImage(const std::string& directory, std::uint64_t image_size_bytes,
                       const std::vector<BenchBlob>& blobs)
    : path_(directory + "/image") {
  require(create_image_file(path_, image_size_bytes, options_for(blobs)));
}

BenchImage::~BenchImage() {
  std::error_code ignored;
  std::filesystem::remove(path_, ignored);
}

std::unique_ptr<Store> BenchImage::open(bool background,
                                        const std::shared_ptr<test::DeviceCounter>& counter) const {
  std::unique_ptr<BlockDevice> device = require(open_device(path_, Access::read_write));
  if (counter != nullptr) {
    device = std::make_unique<test::CountingDevice>(std::move(device), counter);
  }
  OpenOptions options;
  options.background = background;
  return require(Store::open(std::move(device), options));
}

std::vector<CommitKind> commit_kinds() {
  std::vector<CommitKind> kinds;
  for (std::size_t i = 0; i < range_blobs().size(); ++i) {
    kinds.push_back(range_commit(range_blobs().at(i)));
    kinds.push_back(whole_commit(whole_blobs().at(i)));
  }
  return kinds;
}

} // namespace vnvram::bench
