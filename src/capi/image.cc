// The C API's calls on an image that is not open: sizes, create, resize.
#include "capi/arguments.h"
#include "vnvram/store.h"

using namespace vnvram;
using namespace vnvram::capi;

namespace {

using SizeOfSpecs = Result<std::uint64_t> (*)(std::span<const BlobSpec>, std::uint64_t);

Status size_of_specs(SizeOfSpecs size_of, const vnvram_blob_spec* blobs, std::size_t blob_count,
                     std::uint64_t ring_size, std::uint64_t* size) {
  const auto specs = take_specs(blobs, blob_count);
  if (!specs) {
    return specs.error();
  }
  if (size == nullptr) {
    return invalid("size is NULL");
  }
  const auto needed = size_of(*specs, ring_size);
  if (!needed) {
    return needed.error();
  }
  *size = *needed;
  return {};
}

} // namespace

vnvram_kind vnvram_required_size(const vnvram_blob_spec* blobs, size_t blob_count,
                                 uint64_t ring_size, uint64_t* size, vnvram_error** error) {
  return guarded(error, [&] {
    const auto of_a_plain_image = [](auto specs, std::uint64_t ring_size_bytes) {
      return required_size_bytes(specs, ring_size_bytes);
    };
    return size_of_specs(of_a_plain_image, blobs, blob_count, ring_size, size);
  });
}

vnvram_kind vnvram_recommended_size(const vnvram_blob_spec* blobs, size_t blob_count,
                                    uint64_t ring_size, uint64_t* size, vnvram_error** error) {
  return guarded(error, [&] {
    const auto of_a_plain_image = [](auto specs, std::uint64_t ring_size_bytes) {
      return recommended_size_bytes(specs, ring_size_bytes);
    };
    return size_of_specs(of_a_plain_image, blobs, blob_count, ring_size, size);
  });
}

vnvram_kind vnvram_create(const char* path, const vnvram_create_options* options,
                          vnvram_error** error) {
  return guarded(error, [&]() -> Status {
    const auto name = take_string(path, "path");
    if (!name) {
      return name.error();
    }
    CreateOptions create;
    std::uint64_t image_size_bytes = 0;
    if (options != nullptr) {
      const auto given = take_struct(options, "vnvram_create_options");
      if (!given) {
        return given.error();
      }
      auto specs = take_specs(given->blobs, given->blob_count);
      if (!specs) {
        return specs.error();
      }
      for (BlobSpec& spec : *specs) {
        create.blobs.push_back({.spec = std::move(spec)});
      }
      auto keys = take_keys(given->keys, given->key_count);
      if (!keys) {
        return keys.error();
      }
      for (KeySource& source : *keys) {
        create.key_slots.push_back({.source = std::move(source)});
      }
      create.ring_size_bytes = given->ring_size;
      create.force = given->force != 0;
      create.device.image_format = string_or_empty(given->image_format);
      create.device.image_key_file = string_or_empty(given->image_key_file);
      image_size_bytes = given->image_size;
    }
    return create_image_file(*name, image_size_bytes, create);
  });
}

vnvram_kind vnvram_resize(const char* path, uint64_t size, vnvram_error** error) {
  return vnvram_resize_with_keys(path, nullptr, 0, size, error);
}

vnvram_kind vnvram_resize_with_keys(const char* path, const char* const* keys, size_t key_count,
                                    uint64_t size, vnvram_error** error) {
  return guarded(error, [&]() -> Status {
    const auto name = take_string(path, "path");
    const auto ring = take_key_ring(keys, key_count);
    if (!name || !ring) {
      return !name ? name.error() : ring.error();
    }
    return resize_image_file(*name, size, {}, *ring);
  });
}

vnvram_kind vnvram_accept_anchor(const char* path, const char* image_key_file,
                                 const char* const* keys, size_t key_count, const char* anchor,
                                 vnvram_error** error) {
  return guarded(error, [&]() -> Status {
    const auto name = take_string(path, "path");
    const auto text = take_string(anchor, "anchor");
    const auto ring = take_key_ring(keys, key_count);
    if (!name || !text || !ring) {
      return !name ? name.error() : !text ? text.error() : ring.error();
    }
    auto opened = open_anchor(*text);
    if (!opened) {
      return opened.error();
    }
    auto device =
        open_device(*name, Access::read_write, {.image_key_file = string_or_empty(image_key_file)});
    return device ? accept_anchor(*std::move(device), *std::move(opened), {}, *ring)
                  : device.error();
  });
}
