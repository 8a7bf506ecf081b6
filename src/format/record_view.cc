#include "format/record_view.h"

#include <cstring>

#include "format/all_zero.h"

namespace vnvram::format {

std::optional<RecordHeader> peek_record(std::span<const std::byte> block,
                                        std::uint32_t block_count_max) {
  RecordHeader header{};
  if (block.size() < sizeof(header)) {
    return std::nullopt;
  }
  std::memcpy(&header, block.data(), sizeof(header));
  if (header.magic != record_magic || header.block_count == 0 ||
      header.block_count > block_count_max) {
    return std::nullopt;
  }
  return header;
}

namespace {

constexpr const char* forgery = "it is not of who has this image's key";

const char* header_error(const RecordHeader& header, std::span<const std::byte> blocks) {
  if (header.used_bytes > blocks.size() || header.used_bytes < sizeof(RecordHeader) ||
      header.extent_count > (header.used_bytes - sizeof(RecordHeader)) / sizeof(RecordExtent)) {
    return "impossible lengths";
  }
  if (!all_zero(header.nonce) || !all_zero(header.tag) || header.reserved != 0 ||
      !all_zero(blocks.subspan(header.used_bytes))) {
    return "reserved bytes are not zero";
  }
  return nullptr;
}

} // namespace

bool RecordView::is_forgery(const char* reason) {
  return reason == forgery;
}

std::optional<RecordView> RecordView::check(std::span<const std::byte> blocks, const Codec& codec,
                                            std::uint64_t space_size_bytes, const char*& reason) {
  RecordView view;
  if (!codec.proves_record(blocks)) {
    reason = "checksum mismatch";
    return std::nullopt;
  }
  if (codec.proves_frames_only()) {
    std::memcpy(&view.header_, blocks.data(), sizeof(RecordHeader));
    return view;
  }
  if (codec.seals()) {
    view.opened_.assign(blocks.begin(), blocks.end());
    if (!codec.open_record(view.opened_)) {
      reason = forgery;
      return std::nullopt;
    }
    blocks = view.opened_;
  }
  std::memcpy(&view.header_, blocks.data(), sizeof(RecordHeader));
  const RecordHeader& header = view.header_;
  reason = header_error(header, blocks);
  if (reason != nullptr) {
    return std::nullopt;
  }
  std::span<const std::byte> payload =
      blocks.first(header.used_bytes)
          .subspan(sizeof(RecordHeader) + (header.extent_count * sizeof(RecordExtent)));
  view.extents_.reserve(header.extent_count);
  for (std::uint32_t i = 0; i < header.extent_count; ++i) {
    RecordExtent extent{};
    std::memcpy(&extent, blocks.data() + sizeof(RecordHeader) + (i * sizeof(RecordExtent)),
                sizeof(extent));
    const bool has_bytes = extent.kind == ExtentKind::bytes;
    if ((!has_bytes && extent.kind != ExtentKind::zeros) || extent.length_bytes == 0 ||
        extent.offset_bytes > space_size_bytes ||
        extent.length_bytes > space_size_bytes - extent.offset_bytes ||
        (has_bytes && extent.length_bytes > payload.size())) {
      reason = "impossible extent";
      return std::nullopt;
    }
    view.extents_.push_back(
        {extent.offset_bytes, extent.length_bytes, extent.kind,
         has_bytes ? payload.first(extent.length_bytes) : std::span<const std::byte>{}});
    payload = has_bytes ? payload.subspan(extent.length_bytes) : payload;
  }
  if (!payload.empty()) {
    reason = "bytes that belong to no extent";
    return std::nullopt;
  }
  return view;
}

} // namespace vnvram::format
