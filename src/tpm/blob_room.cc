#include "tpm/blob_room.h"

#include <algorithm>
#include <string>
#include <vector>

#include <fmt/core.h>

#include "vnvram/block_device.h"

namespace vnvram {
namespace {

// A blob that has once become too small grows by this much more than it must.
constexpr std::uint64_t growth_bytes = std::uint64_t{64} << 10U;

std::uint64_t whole(std::uint64_t size_bytes, std::uint64_t unit_bytes) {
  return (size_bytes + unit_bytes - 1) / unit_bytes * unit_bytes;
}

// The blobs that are too small for this transaction, with the sizes that they need.
std::vector<BlobSpec> outgrown(BlobClient& client, const Transaction& transaction) {
  std::vector<BlobSpec> specs;
  for (const Transaction::Update& update : transaction.updates()) {
    if (update.action != Transaction::Action::set_size) {
      continue; // What is written lies within the size that was set, now or earlier.
    }
    const Result<BlobInfo> info = client.blob(update.blob);
    if (!info.ok() || update.end_bytes() <= info->size_max_bytes) {
      continue; // An unknown blob is the commit's affair.
    }
    specs.push_back({.name = info->name,
                     .type = info->type,
                     .size_max_bytes = update.end_bytes(),
                     .producer = libtpms_producer()});
  }
  return specs;
}

Status grow(BlobClient& client, std::vector<BlobSpec> specs) {
  std::vector<BlobSpec> generous = specs;
  for (BlobSpec& spec : generous) {
    spec.size_max_bytes = std::min(whole(spec.size_max_bytes, growth_bytes), blob_size_max_bytes);
  }
  if (client.register_blobs(generous).ok()) {
    return {};
  }
  for (BlobSpec& spec : specs) {
    spec.size_max_bytes =
        std::min(whole(spec.size_max_bytes, block_size_bytes), blob_size_max_bytes);
  }
  return client.register_blobs(specs);
}

} // namespace

Result<BlobRoom> BlobRoom::of(BlobClient& client, const std::vector<BlobSpec>& specs) {
  const Result<ImageState> image = client.state();
  if (!image.ok()) {
    return image.error();
  }
  BlobRoom room;
  for (std::size_t state = 0; state < tpm_state_count; ++state) {
    room.names_.at(state) = specs.at(state).name;
    room.sizes_max_bytes_.at(state) = specs.at(state).size_max_bytes;
  }
  room.space_free_bytes_ = image->space_free_bytes;
  room.commit_max_bytes_ = image->blob_size_max_bytes;
  return room;
}

Status BlobRoom::check(const TpmStateSizes& sizes_bytes) const {
  std::uint64_t more_bytes = 0;
  std::uint64_t all_bytes = 0;
  std::string too_small;
  for (std::size_t state = 0; state < tpm_state_count; ++state) {
    const std::uint64_t has_bytes = whole(sizes_max_bytes_.at(state), block_size_bytes);
    const std::uint64_t needed_bytes = whole(sizes_bytes.at(state), block_size_bytes);
    all_bytes += sizes_bytes.at(state);
    if (needed_bytes > has_bytes) {
      more_bytes += needed_bytes - has_bytes;
      too_small += fmt::format("{}{} has {} bytes and needs {}", too_small.empty() ? "" : ", ",
                               names_.at(state), sizes_max_bytes_.at(state), sizes_bytes.at(state));
    }
  }
  if (more_bytes > space_free_bytes_) {
    return Error(
        ErrorKind::no_space,
        fmt::format("{}, and the image has room for {} bytes more", too_small, space_free_bytes_),
        "make the image larger: vnvram resize");
  }
  if (all_bytes > commit_max_bytes_) {
    return Error(ErrorKind::too_large,
                 fmt::format("{} bytes of state, and the image's log has room for {}", all_bytes,
                             commit_max_bytes_),
                 "make a new image with a larger log: vnvram create --ring-size");
  }
  return {};
}

Result<std::uint64_t> commit_with_room(BlobClient& client, const Transaction& transaction) {
  std::vector<BlobSpec> specs = outgrown(client, transaction);
  if (!specs.empty()) {
    const std::string name = specs.front().name;
    const std::uint64_t size_bytes = specs.front().size_max_bytes;
    if (Status grown = grow(client, std::move(specs)); !grown.ok()) {
      return Error(grown.error().kind(),
                   fmt::format("blob {} cannot grow to {} bytes: {}", name, size_bytes,
                               grown.error().cause()),
                   grown.error().remedy());
    }
  }
  return client.commit(transaction);
}

} // namespace vnvram
