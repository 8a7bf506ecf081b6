#include "uefi/variable_usage.h"

#include "uefi/flash_layout.h"

namespace vnvram {
namespace {

using namespace uefi_flash;

// What edk2's VARIABLE_HEADER begins with, in either kind of store.
struct VariableStart {
  std::uint16_t start_mark;
  std::uint8_t state;
  std::uint8_t reserved;
};
static_assert(sizeof(VariableStart) == 4);

struct VariableSizes {
  std::uint32_t name_bytes;
  std::uint32_t data_bytes;
};

constexpr std::uint16_t start_mark = 0x55aa;
// Written bit by bit, as flash is.
constexpr std::uint8_t state_added = 0x3f;
constexpr std::uint8_t state_about_to_be_replaced = 0x3e;
constexpr std::uint64_t alignment_bytes = 4;

// Of one kind of store: where a header has its sizes, and how long it is.
struct HeaderLayout {
  std::uint64_t sizes_offset_bytes;
  std::uint64_t size_bytes;
};
constexpr HeaderLayout authenticated_header{.sizes_offset_bytes = 36, .size_bytes = 60};
constexpr HeaderLayout plain_header{.sizes_offset_bytes = 8, .size_bytes = 32};

std::uint64_t aligned(std::uint64_t offset_bytes) {
  return (offset_bytes + alignment_bytes - 1) / alignment_bytes * alignment_bytes;
}

template <typename T> bool load(const ReadFlash& read, std::uint64_t offset_bytes, T& value) {
  return read(offset_bytes, std::as_writable_bytes(std::span(&value, 1)));
}

struct Walk {
  HeaderLayout layout;
  std::uint64_t begin_bytes = 0;
  std::uint64_t end_bytes = 0; ///< Of the store: within the blob.
};

std::optional<Walk> find_store(const ReadFlash& read, std::uint64_t size_bytes) {
  VolumeHeader volume{};
  if (size_bytes < sizeof(volume) || !load(read, 0, volume) ||
      volume.signature != volume_signature) {
    return std::nullopt;
  }
  StoreHeader store{};
  const std::uint64_t begin_bytes = volume.header_length_bytes;
  if (size_bytes < begin_bytes + sizeof(store) || !load(read, begin_bytes, store) ||
      store.format != store_formatted || store.state != store_healthy ||
      store.size_bytes < sizeof(store) || store.size_bytes > size_bytes - begin_bytes) {
    return std::nullopt;
  }
  if (store.type != authenticated_store && store.type != plain_store) {
    return std::nullopt;
  }
  return Walk{.layout = store.type == plain_store ? plain_header : authenticated_header,
              .begin_bytes = begin_bytes + sizeof(store),
              .end_bytes = begin_bytes + store.size_bytes};
}

} // namespace

std::optional<VariableUsage> variable_usage(const ReadFlash& read, std::uint64_t size_bytes) {
  const std::optional<Walk> walk = find_store(read, size_bytes);
  if (!walk) {
    return std::nullopt;
  }
  VariableUsage usage{.size_bytes = walk->end_bytes - walk->begin_bytes, .used_bytes = 0};
  std::uint64_t at = aligned(walk->begin_bytes);
  while (at + walk->layout.size_bytes <= walk->end_bytes) {
    VariableStart start{};
    VariableSizes sizes{};
    if (!load(read, at, start) || start.start_mark != start_mark ||
        !load(read, at + walk->layout.sizes_offset_bytes, sizes)) {
      break;
    }
    const std::uint64_t next =
        aligned(at + walk->layout.size_bytes + sizes.name_bytes + sizes.data_bytes);
    if (next > aligned(walk->end_bytes)) {
      break;
    }
    if (start.state == state_added || start.state == state_about_to_be_replaced) {
      usage.used_bytes += next - at;
    }
    at = next;
  }
  return usage;
}

} // namespace vnvram
