#include "swtpm/tpm_image_recipe.h"

#include <algorithm>
#include <utility>

#include "base/secret_bytes.h"
#include "provision/image_size.h"

namespace vnvram {
namespace {

std::vector<BlobSpec> specs_of(const CreateOptions& options) {
  std::vector<BlobSpec> specs;
  for (const NewBlob& blob : options.blobs) {
    specs.push_back(blob.spec);
  }
  return specs;
}

} // namespace

Result<CreateOptions> TpmImageRecipe::options(Contents contents) const {
  CreateOptions options;
  std::vector<BlobSpec> specs = tpm_blob_specs(version_);
  for (std::size_t state = 0; state < tpm_state_count; ++state) {
    std::optional<std::vector<std::byte>>& content = contents.at(state);
    BlobSpec& spec = specs.at(state);
    if (content) { // Of a libtpms that has larger ones.
      spec.size_max_bytes = std::max<std::uint64_t>(spec.size_max_bytes, content->size());
    }
    options.blobs.push_back({.spec = std::move(spec), .content = std::move(content)});
  }
  if (key_) {
    options.key_slots.push_back({.source = *key_, .label = "swtpm"});
  }
  // For none larger than these: the smallest that takes each of them twice.
  constexpr std::uint32_t ring_block_count_least = ring_block_count_min;
  const Result<ImageNeeds> needs =
      image_needs(specs_of(options), ring_block_count_least, options.encrypts());
  if (!needs.ok()) {
    wipe(options);
    return needs.error();
  }
  options.ring_size_bytes = std::uint64_t{needs->ring_block_count} * block_size_bytes;
  return options;
}

void TpmImageRecipe::wipe(CreateOptions& options) {
  for (NewBlob& blob : options.blobs) {
    if (blob.content) {
      wipe_memory(*blob.content);
    }
  }
}

Result<std::uint64_t> TpmImageRecipe::size_bytes(const CreateOptions& options) {
  return required_size_bytes(specs_of(options), options.ring_size_bytes, options.encrypts());
}

} // namespace vnvram
