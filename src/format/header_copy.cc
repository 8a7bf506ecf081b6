#include "format/header_copy.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <type_traits>

#include "format/all_zero.h"
#include "format/checksum.h"

namespace vnvram::format {
namespace {

using Magic = std::array<char, 8>;
constexpr Magic key_slots_magic = {'v', 'N', 'V', 'R', 'k', 'e', 'y', 's'};
constexpr Magic metadata_magic = {'v', 'N', 'V', 'R', 'm', 'e', 't', 'a'};

struct Frame {
  Magic magic;
  std::uint32_t copy;
  std::uint32_t used_bytes;
  std::array<std::byte, 16> uuid;
  std::uint64_t sequence;
  std::uint32_t entry_count;
  std::uint32_t reserved_0;
  std::uint64_t checksum; // of the whole copy, with this field zero, seed 0
  std::uint64_t reserved_1;
};
static_assert(sizeof(Frame) + header_content_max_bytes == header_copy_size_bytes);
static_assert(std::has_unique_object_representations_v<Frame>, "no padding");
static_assert(offsetof(Frame, sequence) == 32);
static_assert(offsetof(Frame, checksum) == 48);

Magic magic_of(HeaderPart part) {
  return part == HeaderPart::key_slots ? key_slots_magic : metadata_magic;
}

Frame frame_of(std::span<const std::byte> bytes) {
  Frame frame{};
  std::memcpy(&frame, bytes.data(), sizeof(frame));
  return frame;
}

std::uint64_t checksum_of(Frame frame, std::vector<std::byte> bytes) {
  frame.checksum = 0;
  std::memcpy(bytes.data(), &frame, sizeof(frame));
  return checksum(bytes, 0);
}

const char* fault_of(const HeaderPlace& place, const Frame& frame,
                     std::span<const std::byte> bytes) {
  if (frame.magic != magic_of(place.part)) {
    return "something else is in its place";
  }
  if (frame.checksum != checksum_of(frame, {bytes.begin(), bytes.end()})) {
    return "checksum mismatch";
  }
  if (frame.copy != place.copy) {
    return "the other copy is in its place";
  }
  if (frame.uuid != place.uuid) {
    return "it is of another image";
  }
  if (frame.used_bytes < sizeof(Frame) || frame.used_bytes > header_copy_size_bytes) {
    return "impossible length";
  }
  if (frame.sequence == 0 || frame.sequence > counter_max) {
    return "impossible sequence";
  }
  if (frame.reserved_0 != 0 || frame.reserved_1 != 0 ||
      !all_zero(bytes.subspan(frame.used_bytes))) {
    return "reserved bytes are not zero";
  }
  return nullptr;
}

} // namespace

HeaderCopyBlocks start_blocks_of(HeaderPart part) {
  return part == HeaderPart::key_slots ? key_slots_start_blocks : metadata_start_blocks;
}

std::vector<std::byte> compose_header_copy(const HeaderPlace& place, std::uint64_t sequence,
                                           const HeaderContent& content) {
  assert(content.entries.size() <= header_content_max_bytes);
  std::vector<std::byte> bytes(header_copy_size_bytes);
  std::ranges::copy(content.entries, bytes.begin() + sizeof(Frame));
  Frame frame{};
  frame.magic = magic_of(place.part);
  frame.copy = place.copy;
  frame.used_bytes = static_cast<std::uint32_t>(sizeof(Frame) + content.entries.size());
  frame.uuid = place.uuid;
  frame.sequence = sequence;
  frame.entry_count = content.entry_count;
  frame.checksum = checksum_of(frame, bytes);
  std::memcpy(bytes.data(), &frame, sizeof(frame));
  return bytes;
}

CheckedHeaderCopy check_header_copy(const HeaderPlace& place,
                                    std::span<const std::byte, header_copy_size_bytes> bytes) {
  CheckedHeaderCopy checked;
  if (all_zero(bytes)) {
    return checked;
  }
  const Frame frame = frame_of(bytes);
  if (const char* fault = fault_of(place, frame, bytes); fault != nullptr) {
    checked.state = HeaderCopyState::damaged;
    checked.reason = fault;
    return checked;
  }
  checked.state = HeaderCopyState::valid;
  checked.sequence = frame.sequence;
  checked.content.entry_count = frame.entry_count;
  const auto entries = bytes.subspan(sizeof(Frame), frame.used_bytes - sizeof(Frame));
  checked.content.entries.assign(entries.begin(), entries.end());
  return checked;
}

bool has_header_magic(HeaderPart part, std::span<const std::byte, header_copy_size_bytes> bytes) {
  return frame_of(bytes).magic == magic_of(part);
}

} // namespace vnvram::format
