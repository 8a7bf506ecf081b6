// The images that are measured.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "support/counting_device.h"
#include "vnvram/store.h"

namespace vnvram::bench {

struct BenchBlob {
  std::string name;
  std::uint64_t size_bytes = 0;
};
/// Blobs of 8, 128 and 512 KiB for range writes, and as many that are written as a whole; the names
/// say which.
[[nodiscard]] const std::vector<BenchBlob>& range_blobs();
[[nodiscard]] const std::vector<BenchBlob>& whole_blobs();

/// The benchmark gives up when a call fails.
void require(const Status& status);
template <typename T> T require(Result<T> result) {
  require(result ? Status{} : result.error());
  return std::move(*result);
}

/// What makes an image with these blobs, full, of whatever is there.
[[nodiscard]] CreateOptions options_for(const std::vector<BenchBlob>& blobs);

/// A file with an image that has these blobs, full; it goes when the object goes.
class BenchImage {
public:
  BenchImage(const std::string& directory, std::uint64_t image_size_bytes,
             const std::vector<BenchBlob>& blobs);
  ~BenchImage();
  BenchImage(const BenchImage&) = delete;
  BenchImage& operator=(const BenchImage&) = delete;

  /// Opened for writing; the counter, if any, sees what it costs.
  [[nodiscard]] std::unique_ptr<Store>
  open(bool background, const std::shared_ptr<test::DeviceCounter>& counter = nullptr) const;
  [[nodiscard]] const std::string& path() const { return path_; }

private:
  std::string path_;
};

/// A commit to be measured: called again and again, it changes something each time.
struct CommitKind {
  std::string name;
  std::function<void(Store&)> commit;
};
/// For each blob: a range of 3 KiB that moves about, and the whole blob of which 8 bytes differ, as
/// a TPM writes.
[[nodiscard]] std::vector<CommitKind> commit_kinds();

} // namespace vnvram::bench
