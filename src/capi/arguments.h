// Structures that cross the C boundary: sized by the caller, checked before they are believed.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "capi/error.h"
#include "vnvram/blob.h"
#include "vnvram/key.h"
#include "vnvram/key_ring.h"

namespace vnvram::capi {

inline constexpr std::size_t struct_size_max_bytes = 4096;

/// The sizes that a structure had in earlier versions of the header. A member is only ever added at
/// a structure's end, as large as its alignment, so that no size says two things.
template <typename Struct> inline constexpr std::array<std::size_t, 0> earlier_sizes_bytes{};
template <>
inline constexpr std::array<std::size_t, 4> earlier_sizes_bytes<vnvram_open_options>{
    offsetof(vnvram_open_options, deferral_us), offsetof(vnvram_open_options, anchor),
    offsetof(vnvram_open_options, keys), offsetof(vnvram_open_options, grow_max)};
template <>
inline constexpr std::array<std::size_t, 1> earlier_sizes_bytes<vnvram_create_options>{
    offsetof(vnvram_create_options, keys)};

/// The size that the caller says a structure has, if it can be true.
template <typename Struct> Result<std::size_t> struct_size(const Struct* given, const char* name) {
  if (given == nullptr) {
    return invalid(std::string(name) + " is NULL");
  }
  const std::size_t size = given->struct_size;
  const auto& earlier = earlier_sizes_bytes<Struct>;
  const bool current = size >= sizeof(Struct) && size <= struct_size_max_bytes;
  if (!current && std::find(earlier.begin(), earlier.end(), size) == earlier.end()) {
    return Error(ErrorKind::invalid_argument,
                 std::string(name) + ": struct_size is " + std::to_string(size),
                 "set it to sizeof(" + std::string(name) + ")");
  }
  return size;
}

/// A copy of a structure passed in. Members that the caller does not know are zero, and those that
/// this library does not know must be.
template <typename Struct> Result<Struct> take_struct(const Struct* given, const char* name) {
  const auto size = struct_size(given, name);
  if (!size) {
    return size.error();
  }
  const auto* bytes = reinterpret_cast<const unsigned char*>(given);
  const std::size_t known = std::min(*size, sizeof(Struct));
  if (std::any_of(bytes + known, bytes + *size, [](unsigned char b) { return b != 0; })) {
    return Error(ErrorKind::unsupported,
                 std::string(name) + " has members that this library does not know",
                 "use a library that is as new as the program's headers");
  }
  Struct taken{};
  std::memcpy(&taken, given, known);
  return taken;
}

/// Fills a structure of the caller's with what it has room for.
template <typename Struct> Status give_struct(Struct* target, Struct value, const char* name) {
  const auto size = struct_size(target, name);
  if (!size) {
    return size.error();
  }
  value.struct_size = *size;
  auto* bytes = reinterpret_cast<unsigned char*>(target);
  const std::size_t known = std::min(*size, sizeof(Struct));
  std::memcpy(bytes, &value, known);
  std::memset(bytes + known, 0, *size - known);
  return {};
}

/// Element `index` of an array whose elements are as large as the first one says.
template <typename Struct> const Struct* array_element(const Struct* first, std::size_t index) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(first);
  return reinterpret_cast<const Struct*>(bytes + index * first->struct_size);
}

/// One that may be left out.
inline std::string string_or_empty(const char* string) {
  return string == nullptr ? "" : string;
}
Result<std::string> take_string(const char* string, const char* name);
Result<std::span<const std::byte>> take_bytes(const void* bytes, std::size_t size);
Result<std::vector<BlobSpec>> take_specs(const vnvram_blob_spec* specs, std::size_t count);
[[nodiscard]] vnvram_blob_info to_blob_info(const BlobInfo& info);

/// Copies into a fixed array, cut to what fits, always terminated.
template <std::size_t size> void copy_string(char (&target)[size], const std::string& source) {
  const std::size_t length = std::min(source.size(), size - 1);
  std::memcpy(target, source.data(), length);
  std::memset(target + length, 0, size - length);
}

/// KEYs, in their order; `keys` may be NULL if there are none.
Result<std::vector<KeySource>> take_keys(const char* const* keys, std::size_t count);
/// The same, for who opens an image.
Result<KeyRing> take_key_ring(const char* const* keys, std::size_t count);

} // namespace vnvram::capi
