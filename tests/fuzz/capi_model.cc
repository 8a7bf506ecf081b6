#include "fuzz/capi_model.h"

#include <algorithm>

#include "vnvram/blob.h"
#include "vnvram/block_device.h"

namespace vnvram::fuzz {
namespace {

bool is_word(const std::string& text) {
  return !text.empty() && text.size() <= blob_name_max_bytes &&
         std::ranges::all_of(text, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  std::string("._/+@-").find(c) != std::string::npos;
         });
}

std::uint64_t pages_for(std::uint64_t size) {
  return (size + block_size_bytes - 1) / block_size_bytes;
}

} // namespace

Kinds CapiModel::can_register(const std::vector<ModelSpec>& specs, std::uint64_t space_free) const {
  Kinds kinds;
  std::set<std::string> names;
  bool perhaps_too_large = false;
  std::uint64_t pages = 1; // The directory may need one more.
  for (const ModelSpec& spec : specs) {
    if (!is_word(spec.name) || !is_word(spec.type) || spec.size_max == 0 ||
        spec.size_max > blob_size_max_bytes || !names.insert(spec.name).second) {
      kinds.insert(VNVRAM_INVALID_ARGUMENT);
    }
    if (spec.size_max > blob_size_max_ + block_size_bytes) {
      kinds.insert(VNVRAM_TOO_LARGE);
    }
    // The ring's limit is given in whole pages; a part of one more may fit.
    perhaps_too_large = perhaps_too_large || spec.size_max > blob_size_max_;
    const auto there = blobs_.find(spec.name);
    if (there != blobs_.end() && there->second.type != spec.type) {
      kinds.insert(VNVRAM_TYPE_MISMATCH);
    }
    const std::uint64_t has = there == blobs_.end() ? 0 : pages_for(there->second.size_max);
    pages += std::max(pages_for(spec.size_max), has) - has;
  }
  if (kinds.empty()) {
    kinds.insert(VNVRAM_OK);
  }
  if (perhaps_too_large) {
    kinds.insert(VNVRAM_TOO_LARGE);
  }
  if (pages > space_free / block_size_bytes) {
    kinds.insert(VNVRAM_NO_SPACE);
  }
  return kinds;
}

void CapiModel::register_blobs(const std::vector<ModelSpec>& specs) {
  for (const ModelSpec& spec : specs) {
    const auto [blob, added] =
        blobs_.try_emplace(spec.name, Blob{spec.type, spec.size_max, spec.must_know, {}});
    blob->second.size_max = std::max(blob->second.size_max, spec.size_max);
  }
}

Kinds CapiModel::can_remove(const std::string& name) const {
  return {blobs_.contains(name) ? VNVRAM_OK : VNVRAM_NOT_FOUND};
}

Kinds CapiModel::can_read(const std::string& name, bool knows) const {
  const auto blob = blobs_.find(name);
  if (blob == blobs_.end()) {
    return {VNVRAM_NOT_FOUND};
  }
  return {blob->second.must_know && !knows ? VNVRAM_TOO_NEW : VNVRAM_OK};
}

Kinds CapiModel::can_commit(const std::vector<ModelUpdate>& updates, bool knows) const {
  std::uint64_t cost = 0;
  for (const ModelUpdate& update : updates) {
    const Kinds readable = can_read(update.blob, knows);
    if (readable != Kinds{VNVRAM_OK}) {
      return readable;
    }
    const std::uint64_t size_max = blobs_.at(update.blob).size_max;
    if (update.offset > size_max || update.length() > size_max - update.offset) {
      return {VNVRAM_TOO_LARGE};
    }
    cost += update.bytes.size() + block_size_bytes;
  }
  // One blob's rewrite always fits the ring; how much more does is the engine's affair.
  return updates.size() <= 1 || cost <= blob_size_max_ ? Kinds{VNVRAM_OK}
                                                       : Kinds{VNVRAM_OK, VNVRAM_TOO_LARGE};
}

void CapiModel::commit(const std::vector<ModelUpdate>& updates) {
  for (const ModelUpdate& update : updates) {
    Bytes& content = blobs_.at(update.blob).content;
    switch (update.action) {
    case ModelUpdate::Action::write: content = update.bytes; break;
    case ModelUpdate::Action::write_range:
      content.resize(std::max<std::size_t>(content.size(), update.offset + update.bytes.size()));
      std::ranges::copy(update.bytes, content.begin() + static_cast<std::ptrdiff_t>(update.offset));
      break;
    case ModelUpdate::Action::set_size: content.resize(update.offset); break;
    case ModelUpdate::Action::zero_range:
      content.resize(std::max<std::size_t>(content.size(), update.offset + update.zeros));
      std::fill_n(content.begin() + static_cast<std::ptrdiff_t>(update.offset), update.zeros,
                  std::byte{0});
      break;
    }
  }
}

} // namespace vnvram::fuzz
