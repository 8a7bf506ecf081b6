// What it costs to anchor each commit before it is answered.
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "bench/bench_image.h"
#include "bench/measurements.h"
#include "bench/stopwatch.h"

namespace vnvram::bench {
namespace {

constexpr std::uint64_t anchored_size_bytes = std::uint64_t{8} << 20U;

/// An image with an anchor, or none.
class Anchored {
public:
  Anchored(const std::string& directory, const std::string& name, std::string anchor)
      : image_(directory + "/" + name), kept_(directory + "/" + name + ".anchor") {
    require(create_image_file(image_, anchored_size_bytes, options_for({range_blobs().front()})));
    OpenOptions options;
    if (!anchor.empty()) {
      options.anchor.anchor = require(open_anchor(anchor + kept_));
      require(accept_anchor(device(), options.anchor.anchor));
    }
    store_ = require(Store::open(device(), std::move(options)));
  }
  ~Anchored() {
    std::error_code ignored;
    store_.reset();
    std::filesystem::remove(image_, ignored);
    std::filesystem::remove(kept_, ignored);
  }
  Anchored(const Anchored&) = delete;
  Anchored& operator=(const Anchored&) = delete;

  double time_commit() {
    return microseconds([&] { commit_.commit(*store_); });
  }

private:
  [[nodiscard]] std::unique_ptr<BlockDevice> device() const {
    return require(open_device(image_, Access::read_write));
  }

  std::string image_;
  std::string kept_;
  CommitKind commit_ = commit_kinds().front();
  std::unique_ptr<Store> store_;
};

} // namespace

std::vector<AnchorResult> measure_anchors(const std::string& directory, const Amount& amount) {
  // One that keeps it in memory: what the conversation costs.
  const std::string command = "exec:kept=none; while read -r verb point; do case $verb in read) "
                              "echo \"$kept\";; *) kept=$point; echo ok;; esac; done; : ";
  Anchored none(directory, "unanchored", "");
  Anchored in_file(directory, "anchored", "file:");
  Anchored by_command(directory, "commanded", command);
  std::vector<AnchorResult> results = {{.where = "a file on the same disk", .times = {}},
                                       {.where = "a command that keeps it in memory", .times = {}}};
  Times without;
  for (std::uint64_t i = 0; i < amount.timed_commits; ++i) {
    without.add(none.time_commit());
    results[0].times.add(in_file.time_commit());
    results[1].times.add(by_command.time_commit());
  }
  for (AnchorResult& result : results) {
    result.without = without;
  }
  return results;
}

} // namespace vnvram::bench
