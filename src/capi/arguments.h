// Structures that cross the C boundary: sized by the caller, checked before they are believed.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "capi/error.h"
#include "vnvram/blob.h"

namespace vnvram::capi {

inline constexpr std::size_t struct_size_bytes_max = 4096;

/// The size that the caller says a structure has, if it can be true. Every structure's first
/// version is its current one, so a smaller one is a caller that forgot to set it.
template <typename Struct> Result<std::size_t> struct_size(const Struct* given, const char* name) {
  if (given == nullptr) {
    return invalid(std::string(name) + " is NULL");
  }
  if (given->struct_size < sizeof(Struct) || given->struct_size > struct_size_bytes_max) {
    return Error(ErrorKind::invalid_argument,
                 std::string(name) + ": struct_size is " + std::to_string(given->struct_size),
                 "set it to sizeof(" + std::string(name) + ")");
  }
  return given->struct_size;
}

/// A copy of a structure passed in. Members that this library does not know must be zero.
template <typename Struct> Result<Struct> take_struct(const Struct* given, const char* name) {
  const auto size = struct_size(given, name);
  if (!size) {
    return size.error();
  }
  const auto* bytes = reinterpret_cast<const unsigned char*>(given);
  if (std::any_of(bytes + sizeof(Struct), bytes + *size, [](unsigned char b) { return b != 0; })) {
    return Error(ErrorKind::unsupported,
                 std::string(name) + " has members that this library does not know",
                 "use a library that is as new as the program's headers");
  }
  return *given;
}

/// Fills a structure of the caller's with what it has room for.
template <typename Struct> Status give_struct(Struct* target, Struct value, const char* name) {
  const auto size = struct_size(target, name);
  if (!size) {
    return size.error();
  }
  value.struct_size = *size;
  auto* bytes = reinterpret_cast<unsigned char*>(target);
  std::memcpy(bytes, &value, sizeof(Struct));
  std::memset(bytes + sizeof(Struct), 0, *size - sizeof(Struct));
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

} // namespace vnvram::capi
