#include "capi/arguments.h"

namespace vnvram::capi {
namespace {

Result<Attribute> take_attribute(const vnvram_attribute* given) {
  const auto attribute = take_struct(given, "vnvram_attribute");
  if (!attribute) {
    return attribute.error();
  }
  auto name = take_string(attribute->name, "an attribute's name");
  if (!name) {
    return name.error();
  }
  const auto value = take_bytes(attribute->value, attribute->value_size);
  if (!value) {
    return value.error();
  }
  return Attribute{std::move(*name),
                   std::string(reinterpret_cast<const char*>(value->data()), value->size()),
                   attribute->must_know != 0};
}

Result<BlobSpec> take_spec(const vnvram_blob_spec* given) {
  const auto spec = take_struct(given, "vnvram_blob_spec");
  if (!spec) {
    return spec.error();
  }
  auto name = take_string(spec->name, "a blob's name");
  if (!name) {
    return name.error();
  }
  auto type = take_string(spec->type, "a blob's type");
  if (!type) {
    return type.error();
  }
  BlobSpec result{std::move(*name), std::move(*type), spec->size_max};
  if (spec->producer != nullptr) {
    result.producer = spec->producer;
  }
  if (spec->attributes == nullptr && spec->attribute_count > 0) {
    return invalid("attributes is NULL and attribute_count is not 0");
  }
  for (std::size_t i = 0; i < spec->attribute_count; ++i) {
    auto attribute = take_attribute(array_element(spec->attributes, i));
    if (!attribute) {
      return attribute.error();
    }
    result.attributes.push_back(std::move(*attribute));
  }
  return result;
}

} // namespace

Result<std::string> take_string(const char* string, const char* name) {
  if (string == nullptr) {
    return invalid(std::string(name) + " is NULL");
  }
  return std::string(string);
}

Result<std::span<const std::byte>> take_bytes(const void* bytes, std::size_t size) {
  if (bytes == nullptr && size > 0) {
    return invalid("the bytes are NULL and their size is not 0");
  }
  return std::span(static_cast<const std::byte*>(bytes), size);
}

Result<std::vector<BlobSpec>> take_specs(const vnvram_blob_spec* specs, std::size_t count) {
  if (specs == nullptr && count > 0) {
    return invalid("blobs is NULL and their count is not 0");
  }
  std::vector<BlobSpec> result;
  for (std::size_t i = 0; i < count; ++i) {
    auto spec = take_spec(array_element(specs, i));
    if (!spec) {
      return spec.error();
    }
    result.push_back(std::move(*spec));
  }
  return result;
}

vnvram_blob_info to_blob_info(const BlobInfo& info) {
  vnvram_blob_info result{};
  copy_string(result.name, info.name);
  copy_string(result.type, info.type);
  copy_string(result.producer, info.producer);
  result.size_max = info.size_max_bytes;
  result.size = info.size_bytes;
  result.generation = info.generation;
  result.registered_generation = info.registered_generation;
  result.attribute_count = info.attributes.size();
  return result;
}

Result<std::vector<KeySource>> take_keys(const char* const* keys, std::size_t count) {
  if (keys == nullptr && count > 0) {
    return invalid("keys is NULL and their count is not 0");
  }
  std::vector<KeySource> sources;
  for (std::size_t i = 0; i < count; ++i) {
    const auto text = take_string(keys[i], "a key");
    if (!text) {
      return text.error();
    }
    auto source = KeySource::parse(*text);
    if (!source) {
      return source.error();
    }
    sources.push_back(*std::move(source));
  }
  return sources;
}

Result<KeyRing> take_key_ring(const char* const* keys, std::size_t count) {
  auto sources = take_keys(keys, count);
  return sources ? Result<KeyRing>(KeyRing(*std::move(sources))) : sources.error();
}

} // namespace vnvram::capi
