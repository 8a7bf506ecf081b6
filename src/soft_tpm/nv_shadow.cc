#include "soft_tpm/nv_shadow.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "base/secret_bytes.h"

namespace vnvram {
namespace {

// Large enough for memcmp to run at full speed, small enough that a changed counter copies little.
constexpr std::size_t piece_size_bytes = 512;

} // namespace

NvShadow::NvShadow(const std::vector<BlobSpec>& specs) {
  assert(specs.size() == tpm_state_count);
  for (std::size_t state = 0; state < tpm_state_count; ++state) {
    blobs_.at(state).name = specs.at(state).name;
  }
}

NvShadow::~NvShadow() {
  for (Blob& blob : blobs_) {
    wipe_memory(blob.content);
  }
}

void NvShadow::load(TpmState state, std::vector<std::byte> content) {
  Blob& blob = blob_of(state);
  assert(content.size() <= blob_size_max_bytes);
  blob.make_pieces(content.size());
  blob.size_given_bytes = content.size();
  blob.content = std::move(content);
  ++blob.revision;
}

void NvShadow::Blob::make_pieces(std::size_t size_bytes) {
  const std::size_t count = (size_bytes + piece_size_bytes - 1) / piece_size_bytes;
  piece_changed.resize(std::max(piece_changed.size(), count));
}

void NvShadow::Blob::mark(std::size_t begin_bytes, std::size_t end_bytes) {
  for (std::size_t piece = begin_bytes / piece_size_bytes; piece * piece_size_bytes < end_bytes;
       ++piece) {
    piece_changed[piece] = true;
  }
  changed = true;
}

bool NvShadow::store(TpmState state, std::span<const std::byte> content) {
  Blob& blob = blob_of(state);
  if (content.size() > blob_size_max_bytes) {
    return false;
  }
  blob.make_pieces(content.size());
  const std::size_t size_before_bytes = blob.content.size();
  bool differs = content.size() != size_before_bytes;
  if (content.size() != size_before_bytes) {
    // What is cut off counts as changed: the image may still hold it when the blob grows again.
    blob.mark(std::min(content.size(), size_before_bytes),
              std::max(content.size(), size_before_bytes));
    blob.content.resize(content.size());
  }
  for (std::size_t offset = 0; offset < content.size(); offset += piece_size_bytes) {
    const std::size_t length = std::min(piece_size_bytes, content.size() - offset);
    if (std::memcmp(blob.content.data() + offset, content.data() + offset, length) != 0) {
      std::memcpy(blob.content.data() + offset, content.data() + offset, length);
      blob.mark(offset, offset + length);
      differs = true;
    }
  }
  blob.revision += differs ? 1U : 0U;
  return true;
}

std::span<const std::byte> NvShadow::content(TpmState state) const {
  return blob_of(state).content;
}

bool NvShadow::has_changes() const {
  return std::any_of(blobs_.begin(), blobs_.end(), [](const Blob& blob) { return blob.changed; });
}

bool NvShadow::matches(TpmState state, std::span<const std::byte> image_content) const {
  const Blob& blob = blob_of(state);
  if (blob.size_given_bytes != image_content.size()) {
    return false;
  }
  const std::size_t size_bytes = std::min(blob.content.size(), image_content.size());
  for (std::size_t offset = 0; offset < size_bytes; offset += piece_size_bytes) {
    const std::size_t length = std::min(piece_size_bytes, size_bytes - offset);
    if (!blob.piece_changed[offset / piece_size_bytes] &&
        std::memcmp(blob.content.data() + offset, image_content.data() + offset, length) != 0) {
      return false;
    }
  }
  return true;
}

void NvShadow::mark_all() {
  for (Blob& blob : blobs_) {
    blob.mark(0, blob.content.size());
    blob.size_given_bytes.reset();
    ++blob.revision;
  }
}

Transaction NvShadow::take_changes() {
  Transaction transaction;
  for (Blob& blob : blobs_) {
    if (blob.changed) {
      take_changes_of(blob, transaction);
    }
  }
  return transaction;
}

void NvShadow::take_changes_of(Blob& blob, Transaction& transaction) {
  if (blob.content.size() != blob.size_given_bytes) {
    transaction.set_size(blob.name, blob.content.size());
    blob.size_given_bytes = blob.content.size();
  }
  const auto piece_at = [&](std::size_t offset) {
    return offset < blob.content.size() && blob.piece_changed[offset / piece_size_bytes];
  };
  for (std::size_t begin = 0; begin < blob.content.size(); begin += piece_size_bytes) {
    if (!piece_at(begin)) {
      continue;
    }
    std::size_t end = begin;
    while (piece_at(end)) {
      end = std::min(end + piece_size_bytes, blob.content.size());
    }
    const auto* bytes = blob.content.data();
    transaction.write_range(blob.name, begin, std::vector<std::byte>(bytes + begin, bytes + end));
    begin = (end - 1) / piece_size_bytes * piece_size_bytes;
  }
  std::fill(blob.piece_changed.begin(), blob.piece_changed.end(), false);
  blob.changed = false;
}

} // namespace vnvram
