#include "device/rbd_new_image.h"

#include <cerrno>
#include <utility>

#include "device/rbd_cluster.h"

namespace vnvram {
namespace {

// What is needed: clones, and the lock. Each more costs a commit something, or another client the
// right to open it.
constexpr std::uint64_t features = RBD_FEATURE_LAYERING | RBD_FEATURE_EXCLUSIVE_LOCK;

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

RbdNewImage::RbdNewImage(std::unique_ptr<RbdCluster> cluster) : cluster_(std::move(cluster)) {}
RbdNewImage::RbdNewImage(RbdNewImage&&) noexcept = default;

RbdNewImage::~RbdNewImage() {
  if (cluster_ != nullptr) {
    cluster_->library().rbd_remove(cluster_->pool(), cluster_->location().image.c_str());
  }
}

void RbdNewImage::stay() {
  cluster_.reset();
}

Result<RbdNewImage> RbdNewImage::make(const std::string& location, std::uint64_t size_bytes,
                                      std::chrono::milliseconds timeout) {
  const Result<RbdLocation> where = RbdLocation::parse(location);
  if (!where) {
    return where.error();
  }
  if (!where->snapshot.empty()) {
    return Error(ErrorKind::read_only, location + ": no image is made as a snapshot",
                 "make an image, then a snapshot of it: `rbd snap create`");
  }
  Result<std::unique_ptr<RbdCluster>> cluster = RbdCluster::connect(*where, timeout);
  if (!cluster) {
    return cluster.error();
  }
  const int made = make_image(**cluster, size_bytes);
  if (made == -EEXIST) {
    return Error(ErrorKind::exists, location + ": somebody has made it at this moment",
                 "look what it is, and try again");
  }
  if (made < 0) {
    return (*cluster)->error("make the image " + where->spec(), made);
  }
  return RbdNewImage(*std::move(cluster));
}

} // namespace vnvram
