#include <filesystem>

#include "bench/bench_image.h"
#include "bench/full_ring.h"
#include "bench/measurements.h"
#include "bench/stopwatch.h"

namespace vnvram::bench {
namespace {

void time_one(const std::string& path, Times& opening, Times* closing) {
  std::unique_ptr<Store> store;
  opening.add(microseconds(
      [&] { store = require(Store::open(require(open_device(path, Access::read_write)))); }));
  const double taken = microseconds([&] { require(store->close()); });
  if (closing != nullptr) {
    closing->add(taken);
  }
}

} // namespace

OpeningResult time_opening(const std::string& directory, const Amount& amount) {
  OpeningResult result;
  const BenchImage image(directory, std::uint64_t{4} << 20U, range_blobs());
  const std::string full = directory + "/full";
  const std::string copy = directory + "/copy";
  result.ring = copy_with_full_ring(image.path(), KeyRing(), full);
  for (unsigned i = 0; i < amount.openings; ++i) {
    copy_durably(full, copy);
    time_one(copy, result.full_ring, nullptr);
    time_one(image.path(), result.clean, &result.close);
  }
  const std::string qcow2 = directory + "/image.qcow2";
  require(create_image_file(qcow2, std::uint64_t{4} << 20U, {}));
  for (unsigned i = 0; i < amount.openings; ++i) {
    time_one(qcow2, result.qcow2, nullptr);
  }
  std::filesystem::remove(qcow2);
  std::filesystem::remove(full);
  std::filesystem::remove(copy);
  return result;
}

} // namespace vnvram::bench
