#include "device/rbd_new_image.h"

#include <cerrno>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "base/random_bytes.h"
#include "device/call_in_time.h"
#include "device/rbd_cluster.h"
#include "device/rbd_device.h"

namespace vnvram {
namespace {

// What is needed: clones, and the lock. Each more costs a commit something, or another client the
// right to open it.
constexpr std::uint64_t needed_features = RBD_FEATURE_LAYERING | RBD_FEATURE_EXCLUSIVE_LOCK;
// Ceph's own default, whatever the configuration says: objects of 4 MiB, one behind the other, so
// that a block is in one of them.
constexpr std::uint64_t object_order = 22;

constexpr std::size_t random_letter_count = 12;
constexpr int listings_max = 5;
constexpr const char* unfinished = ".new-"; // And random letters.

int make_image(const RbdCluster& cluster, std::uint64_t size_bytes) {
  const RbdLibrary& library = cluster.library();
  rbd_image_options_t options = nullptr;
  library.rbd_image_options_create(&options);
  int made = 0;
  for (const auto& [option, value] :
       {std::pair(RBD_IMAGE_OPTION_FEATURES, needed_features),
        std::pair(RBD_IMAGE_OPTION_ORDER, object_order),
        std::pair(RBD_IMAGE_OPTION_STRIPE_UNIT, std::uint64_t{1} << object_order),
        std::pair(RBD_IMAGE_OPTION_STRIPE_COUNT, std::uint64_t{1})}) {
    made = made < 0 ? made : library.rbd_image_options_set_uint64(options, option, value);
  }
  if (made >= 0) {
    made =
        library.rbd_create4(cluster.pool(), cluster.location().image.c_str(), size_bytes, options);
  }
  library.rbd_image_options_destroy(options);
  return made;
}

/// Those in the pool that were to become `name`, whoever makes them. Nothing if the cluster does
/// not say.
std::vector<std::string> unfinished_images(const RbdCluster& cluster, const std::string& name) {
  const RbdLibrary& library = cluster.library();
  std::vector<rbd_image_spec_t> images;
  std::size_t count = 0;
  int listed = -ERANGE;
  for (int attempt = 0; listed == -ERANGE && attempt < listings_max; ++attempt) {
    images.resize(count); // As many as there were a moment ago.
    listed = library.rbd_list2(cluster.pool(), images.data(), &count);
  }
  std::vector<std::string> found;
  if (listed < 0) {
    return found;
  }
  const std::string beginning = name + unfinished;
  for (const rbd_image_spec_t& image : std::span(images).first(count)) {
    const std::string_view each = image.name;
    if (each.starts_with(beginning) && each.size() == beginning.size() + random_letter_count) {
      found.emplace_back(each);
    }
  }
  library.rbd_image_spec_list_cleanup(images.data(), count);
  return found;
}

/// What the call returns, or -ETIMEDOUT: then it may be done later.
template <typename Call> int in_time(const std::shared_ptr<RbdCluster>& cluster, Call call) {
  return call_in_time(cluster->patience(), [cluster, call] { return call(*cluster); })
      .value_or(-ETIMEDOUT);
}

void note_unfinished(const std::shared_ptr<RbdCluster>& cluster, RbdLocation wanted,
                     const std::function<void(const std::string& text)>& note) {
  const auto found = call_in_time(cluster->patience(), [cluster, name = wanted.image] {
    return unfinished_images(*cluster, name);
  });
  for (const std::string& each : found.value_or(std::vector<std::string>())) {
    wanted.image = each;
    note(fmt::format("{0} is there, too: who makes it, or has left it behind; if nobody does any "
                     "more, `rbd rm {0}` removes it",
                     wanted.spec()));
  }
}

} // namespace

RbdNewImage::RbdNewImage(std::shared_ptr<RbdCluster> cluster, std::string name)
    : cluster_(std::move(cluster)), name_(std::move(name)) {}
RbdNewImage::RbdNewImage(RbdNewImage&&) noexcept = default;

RbdNewImage::~RbdNewImage() {
  if (cluster_ != nullptr) {
    remove();
  }
}

int RbdNewImage::remove() {
  const int removed = in_time(cluster_, [](const RbdCluster& cluster) {
    return cluster.library().rbd_remove(cluster.pool(), cluster.location().image.c_str());
  });
  cluster_.reset();
  return removed;
}

Error RbdNewImage::removed_after(const Error& why) {
  const std::string made = cluster_->location().spec();
  const int removed = remove();
  return removed >= 0 || removed == -ENOENT
             ? why
             : Error(why.kind(), why.cause(),
                     fmt::format("{}{}`rbd rm {}` removes what is left of it, when the cluster "
                                 "answers and nobody has it open",
                                 why.remedy(), why.remedy().empty() ? "" : "; ", made));
}

Result<std::unique_ptr<BlockDevice>> RbdNewImage::open() const {
  auto opened = RbdDevice::open(cluster_->location(), Access::read_write, cluster_->timeout());
  return opened ? Result<std::unique_ptr<BlockDevice>>(*std::move(opened)) : opened.error();
}

// Of two that rename at the same time the cluster refuses one: the name is an object, which is
// made if there is none.
Status RbdNewImage::take_name() {
  const int renamed = in_time(cluster_, [name = name_](const RbdCluster& cluster) {
    return cluster.library().rbd_rename(cluster.pool(), cluster.location().image.c_str(),
                                        name.c_str());
  });
  if (renamed == -EEXIST) {
    return removed_after(Error(ErrorKind::exists,
                               cluster_->name() + ": somebody has made it meanwhile",
                               "look what it is, and try again"));
  }
  const std::shared_ptr<RbdCluster> cluster = std::exchange(cluster_, nullptr);
  if (renamed >= 0) {
    return {};
  }
  // It may have the name, and be in use: nothing is removed.
  const std::string made = cluster->location().spec();
  const Error error = cluster->error(fmt::format("give {} its name", made), renamed);
  return Error(error.kind(), error.cause(),
               fmt::format("`rbd ls` shows which name it has; `rbd rm {}` removes it", made));
}

Result<RbdNewImage> RbdNewImage::make(const std::string& location, std::uint64_t size_bytes,
                                      std::chrono::milliseconds timeout,
                                      const std::function<void(const std::string& text)>& note) {
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
  const RbdLocation wanted = *where;
  where->image += unfinished + *letters;
  Result<std::shared_ptr<RbdCluster>> cluster = RbdCluster::connect(*where, timeout);
  if (!cluster) {
    return cluster.error();
  }
  if (note) {
    note_unfinished(*cluster, wanted, note);
  }
  const int made = in_time(
      *cluster, [size_bytes](const RbdCluster& pool) { return make_image(pool, size_bytes); });
  if (made < 0) {
    const Error error = (*cluster)->error("make the image " + where->spec(), made);
    return made != -ETIMEDOUT
               ? error
               : Error(error.kind(), error.cause(),
                       fmt::format("what there may be of it, `rbd rm {}` removes when the cluster "
                                   "answers again (see `ceph status`)",
                                   where->spec()));
  }
  return RbdNewImage(*std::move(cluster), wanted.image);
}

} // namespace vnvram
