#include "format/record_builder.h"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace vnvram::format {

namespace {

constexpr std::size_t buffer_kept_max_bytes = std::size_t{1} << 20U;

} // namespace

void RecordBuilder::clear() {
  extents_.clear();
  payload_.clear();
  if (buffer_ && buffer_->size_bytes() > buffer_kept_max_bytes) {
    buffer_.reset(); // One huge transaction must not cost memory for ever.
    payload_.shrink_to_fit();
  }
}

void RecordBuilder::add_bytes(std::uint64_t offset_bytes, std::span<const std::byte> bytes) {
  assert(!bytes.empty());
  payload_.insert(payload_.end(), bytes.begin(), bytes.end());
  const auto length = static_cast<std::uint32_t>(bytes.size());
  if (!extents_.empty() && extents_.back().kind == ExtentKind::bytes &&
      extents_.back().offset_bytes + extents_.back().length_bytes == offset_bytes) {
    extents_.back().length_bytes += length;
    return;
  }
  extents_.push_back({offset_bytes, length, ExtentKind::bytes});
}

void RecordBuilder::add_zeros(std::uint64_t offset_bytes, std::uint32_t length_bytes) {
  assert(length_bytes > 0);
  if (!extents_.empty() && extents_.back().kind == ExtentKind::zeros &&
      extents_.back().offset_bytes + extents_.back().length_bytes == offset_bytes) {
    extents_.back().length_bytes += length_bytes;
    return;
  }
  extents_.push_back({offset_bytes, length_bytes, ExtentKind::zeros});
}

RecordBuilder::Mark RecordBuilder::mark() const {
  return {extents_.size(), payload_.size(), extents_.empty() ? 0 : extents_.back().length_bytes};
}

void RecordBuilder::rollback(const Mark& mark) {
  assert(mark.extent_count <= extents_.size() && mark.payload_size_bytes <= payload_.size());
  extents_.resize(mark.extent_count);
  payload_.resize(mark.payload_size_bytes);
  if (!extents_.empty()) {
    extents_.back().length_bytes = mark.last_length_bytes; // It may have been joined to since.
  }
}

std::uint32_t RecordBuilder::block_count() const {
  const std::size_t used =
      sizeof(RecordHeader) + (extents_.size() * sizeof(RecordExtent)) + payload_.size();
  return static_cast<std::uint32_t>((used + block_size_bytes - 1) / block_size_bytes);
}

Result<std::span<const std::byte>>
RecordBuilder::finish(const Position& position, const Codec& codec, std::uint64_t& checksum) {
  const std::size_t size_bytes = std::size_t{block_count()} * block_size_bytes;
  const std::size_t extents_bytes = extents_.size() * sizeof(RecordExtent);
  if (!buffer_ || buffer_->size_bytes() < size_bytes) {
    buffer_.emplace(size_bytes);
  }
  RecordHeader header{};
  header.magic = record_magic;
  header.block_count = block_count();
  header.epoch_number = position.epoch_number;
  header.epoch_random = position.epoch_random;
  header.sequence = position.sequence;
  header.chain = position.chain;
  header.extent_count = static_cast<std::uint32_t>(extents_.size());
  header.used_bytes =
      static_cast<std::uint32_t>(sizeof(RecordHeader) + extents_bytes + payload_.size());

  std::byte* to = buffer_->span().data();
  std::memcpy(to, &header, sizeof(header));
  std::memcpy(to + sizeof(header), extents_.data(), extents_bytes);
  if (!payload_.empty()) {
    std::memcpy(to + sizeof(header) + extents_bytes, payload_.data(), payload_.size());
  }
  std::fill(to + header.used_bytes, to + size_bytes, std::byte{0});

  const std::span<std::byte> record(to, size_bytes);
  const Result<std::uint64_t> finished = codec.finish_record(record);
  if (!finished) {
    return finished.error();
  }
  checksum = *finished;
  return std::span<const std::byte>(record);
}

} // namespace vnvram::format
