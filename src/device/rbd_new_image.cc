#include "device/rbd_new_image.h"

#include <cerrno>
#include <utility>

#include <fmt/core.h>

#include "base/random_bytes.h"
#include "device/rbd_cluster.h"
#include "device/rbd_device.h"

namespace vnvram {
namespace {

// What is needed: clones, and the lock. Each more costs a commit something, or another client the
// right to open it.
constexpr std::uint64_t features = RBD_FEATURE_LAYERING | RBD_FEATURE_EXCLUSIVE_LOCK;

constexpr std::size_t random_letter_count = 12;

int make_image(const RbdCluster& cluster, std::uint64_t size_bytes) {
  const RbdLibrary& library = cluster.library();
  rbd_image_options_t options = nullptr;
  library.rbd_image_options_create(&options);
  int made = library.rbd_image_options_set_uint64(options, RBD_IMAGE_OPTION_FEATURES, features);
  if (made >= 0) {
    made =
        library.rbd_create4(cluster.pool(), cluster.location().image.c_str(), size_bytes, options);
  }
  library.rbd_image_options_destroy(options);
  return made;
}

} // namespace

RbdNewImage::RbdNewImage(std::unique_ptr<RbdCluster> cluster, std::string name)
    : cluster_(std::move(cluster)), name_(std::move(name)) {}
RbdNewImage::RbdNewImage(RbdNewImage&&) noexcept = default;

RbdNewImage::~RbdNewImage() {
  if (cluster_ != nullptr) {
    cluster_->library().rbd_remove(cluster_->pool(), cluster_->location().image.c_str());
  }
}

Result<std::unique_ptr<BlockDevice>> RbdNewImage::open() const {
  auto opened = RbdDevice::open(cluster_->location(), Access::read_write, cluster_->timeout());
  return opened ? Result<std::unique_ptr<BlockDevice>>(*std::move(opened)) : opened.error();
}

// Of two that rename at the same time the cluster refuses one: the name is an object, which is
// made if there is none.
Status RbdNewImage::take_name() {
  const RbdCluster& cluster = *cluster_;
  const std::string made = cluster.location().spec();
  const int renamed =
      cluster.library().rbd_rename(cluster.pool(), cluster.location().image.c_str(), name_.c_str());
  if (renamed == -EEXIST) {
    return Error(ErrorKind::exists, cluster.name() + ": somebody has made it meanwhile",
                 "look what it is, and try again");
  }
  if (renamed >= 0) {
    cluster_.reset();
    return {};
  }
  Error error = cluster.error(fmt::format("give {} its name", made), renamed);
  cluster_.reset(); // It may have the name, and be in use: nothing is removed.
  return Error(error.kind(), error.cause(),
               fmt::format("`rbd ls` shows which name it has; `rbd rm {}` removes it", made));
}

Result<RbdNewImage> RbdNewImage::make(const std::string& location, std::uint64_t size_bytes,
                                      std::chrono::milliseconds timeout) {
  Result<RbdLocation> where = RbdLocation::parse(location);
  if (!where) {
    return where.error();
  }
  if (!where->snapshot.empty()) {
    return Error(ErrorKind::read_only, location + ": no image is made as a snapshot",
                 "make an image, then a snapshot of it: `rbd snap create`");
  }
  const Result<std::string> letters = random_letters(random_letter_count);
  if (!letters) {
    return letters.error();
  }
  std::string name = where->image;
  where->image += ".new-" + *letters;
  Result<std::unique_ptr<RbdCluster>> cluster = RbdCluster::connect(*where, timeout);
  if (!cluster) {
    return cluster.error();
  }
  const int made = make_image(**cluster, size_bytes);
  if (made < 0) {
    const Error error = (*cluster)->error("make the image " + where->spec(), made);
    return made != -ETIMEDOUT
               ? error
               : Error(error.kind(), error.cause(),
                       fmt::format("what there may be of it, `rbd rm {}` removes when the cluster "
                                   "answers again (see `ceph status`)",
                                   where->spec()));
  }
  return RbdNewImage(*std::move(cluster), std::move(name));
}

} // namespace vnvram
