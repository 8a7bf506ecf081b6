#include "bench/bench_image.h"
#include "bench/measurements.h"
#include "bench/rbd_floor.h"
#include "bench/stopwatch.h"
#include "device/rbd_device.h"
#include "support/ceph_cluster.h"

namespace vnvram::bench {
namespace {

using test::CephCluster;

constexpr std::uint64_t rbd_image_size_bytes = std::uint64_t{4} << 20U;
constexpr std::uint64_t rbd_floor_size_bytes = std::uint64_t{2}
                                               << 20U; // About as large as the ring.
constexpr const char* floor_name = "floor";
constexpr const char* cached_name = "floor-cached";
constexpr const char* image_name = "vm";

std::unique_ptr<BlockDevice> open_image(const CephCluster& cluster) {
  return require(open_device(cluster.location(image_name), Access::read_write));
}

void time_rbd_commits(RbdResult& result, const CephCluster& cluster, const Amount& amount) {
  RbdFloor uncached(cluster.conf(), "rbd", RbdFloor::Cache::off);
  RbdFloor cached(cluster.conf(), "rbd", RbdFloor::Cache::on);
  uncached.open(floor_name, rbd_floor_size_bytes);
  cached.open(cached_name, rbd_floor_size_bytes);
  for (std::uint64_t done = 0; done < rbd_floor_size_bytes; done += block_size_bytes) {
    uncached.write(); // As the ring's blocks, these have been written before.
    cached.write();
  }
  const auto store = require(Store::open(open_image(cluster)));
  CommitKind commit = commit_kinds().at(1);
  for (std::uint64_t i = 0; i < amount.timed_commits; ++i) {
    result.floor_uncached.add(microseconds([&] { uncached.write(); }));
    result.floor_cached.add(microseconds([&] { cached.write(); }));
    result.commit.add(microseconds([&] { commit.commit(*store); }));
  }
  require(store->close());
  uncached.close();
  cached.close();
}

// As `rbd` opens an image (connecting included), and one read of what recovery reads: the ring.
void time_rbd_openings(RbdResult& result, const CephCluster& cluster, const Amount& amount) {
  for (unsigned i = 0; i < amount.openings; ++i) {
    result.floor_opening.add(microseconds([&] {
      RbdFloor floor(cluster.conf(), "rbd", RbdFloor::Cache::off);
      floor.open(floor_name, rbd_floor_size_bytes);
      floor.read(0, rbd_floor_size_bytes);
    }));
    std::unique_ptr<Store> store;
    result.opening.add(microseconds([&] { store = require(Store::open(open_image(cluster))); }));
    require(store->close());
  }
}

} // namespace

RbdResult measure_rbd(const Amount& amount) {
  CephCluster cluster;
  for (const char* name : {floor_name, cached_name}) {
    cluster.run(std::string("rbd create --image-feature layering,exclusive-lock --size 2M ") +
                name);
  }
  CreateOptions options = options_for({range_blobs().front(), whole_blobs().front()});
  require(create_image_file(cluster.location(image_name), rbd_image_size_bytes, options));
  const CommitCost counted = count_commits_on(open_image(cluster), amount);
  RbdResult result;
  result.commits = counted.commits;
  result.worst = counted.worst;
  time_rbd_commits(result, cluster, amount);
  time_rbd_openings(result, cluster, amount);
  return result;
}

} // namespace vnvram::bench
