// Formatting: the only code that writes to what is not ours (invariant 6).
#include <algorithm>
#include <cassert>
#include <cstring>

#include <fmt/core.h>
#include <unistd.h>

#include "base/barrier.h"
#include "base/random_bytes.h"
#include "base/secret_bytes.h"
#include "device/forwarding_device.h"
#include "format/public_metadata.h"
#include "keys/data_key.h"
#include "keys/header_area.h"
#include "keys/key_slots.h"
#include "provision/image_creator.h"
#include "provision/image_size.h"
#include "store/engine.h"
#include "store/random_blocks.h"
#include "store/registration.h"
#include "store/superblock_reader.h"
#include "store/third_copy.h"

namespace vnvram {

using format::Geometry;
using format::Superblock;

Status check_creatable(BlockDevice& device) {
  const Result<Superblock> there = find_superblock(device);
  if (!there && there.error().kind() == ErrorKind::corrupt) {
    return Error{ErrorKind::exists, there.error().cause(),
                 fmt::format("{}; `force` only to lose what is in it", there.error().remedy())};
  }
  if (there || there.error().kind() == ErrorKind::too_new ||
      there.error().kind() == ErrorKind::key_needed) {
    return Error{ErrorKind::exists, fmt::format("{}: holds a vNVRAM image already", device.name()),
                 "`force` to lose what is in it"};
  }
  if (there.error().kind() == ErrorKind::foreign) {
    return Error{ErrorKind::exists,
                 fmt::format("{}: holds data that is not a vNVRAM image", device.name()),
                 "check the name; `force` to lose that data"};
  }
  return there.error().kind() == ErrorKind::blank ? Status{} : Status(there.error());
}

Status check_contents(const CreateOptions& options) {
  for (const NewBlob& blob : options.blobs) {
    if (blob.content && blob.content->size() > blob.spec.size_max_bytes) {
      return Error{ErrorKind::too_large,
                   fmt::format("blob {}: its content is {} bytes and its largest size {}",
                               blob.spec.name, blob.content->size(), blob.spec.size_max_bytes)};
    }
  }
  Status fits;
  for (const auto& [name, value] : options.metadata) {
    fits = fits ? format::check_public_entry(name, value) : fits;
  }
  if (!fits) {
    return fits;
  }
  const auto composed = format::compose_public_metadata(options.metadata);
  return composed ? Status() : composed.error();
}

namespace {

/// What a device has room for in front of the third superblock.
std::uint64_t blocks_for_image(std::uint64_t device_size_bytes) {
  const std::uint64_t blocks = device_size_bytes / block_size_bytes;
  return std::min(blocks - std::min(blocks, format::third_copy_blocks_from_end),
                  image_size_max_bytes / block_size_bytes);
}

Result<Geometry> plan(const std::string& device_name, std::uint64_t size_bytes,
                      const CreateOptions& options) {
  const std::vector<BlobSpec> specs = specs_of(options.blobs);
  const auto ring_asked = static_cast<std::uint32_t>(
      std::min(options.ring_size_bytes, image_size_max_bytes) / block_size_bytes);
  const bool encrypted = options.encrypts();
  const Result<std::uint64_t> required =
      required_size_bytes(specs, options.ring_size_bytes, encrypted);
  const Result<ImageNeeds> needs = image_needs(
      specs, ring_asked == 0 ? ring_block_count_default : ring_block_count_min, encrypted);
  if (!required || !needs) {
    return !required ? required.error() : needs.error();
  }
  const std::uint64_t blocks = blocks_for_image(size_bytes);
  if (ring_asked != 0 && ring_asked < needs->ring_block_count) {
    return Error{ErrorKind::invalid_argument,
                 fmt::format("a ring of {} bytes is too small for these blobs, which need {}",
                             options.ring_size_bytes,
                             std::uint64_t{needs->ring_block_count} * block_size_bytes)};
  }
  const std::uint32_t ring = ring_asked != 0 ? ring_asked : choose_ring(*needs, blocks);
  const Geometry geometry(blocks, ring, needs->entry_size_bytes);
  const std::uint64_t needed_blocks =
      Geometry::blocks_for(ring, needs->page_count, needs->entry_size_bytes);
  if (!geometry.valid() || geometry.page_count() < needs->page_count) {
    return Error{
        ErrorKind::no_space,
        fmt::format("{}: {} bytes are needed and there are {}", device_name,
                    (needed_blocks + format::third_copy_blocks_from_end) * block_size_bytes,
                    size_bytes),
        "make it larger; `size` tells how large"};
  }
  return geometry;
}

constexpr std::uint64_t step_blocks = 256;

/// The one that is given, or one that nobody has.
Result<SecretBytes> first_data_key(const CreateOptions& options) {
  if (!options.encrypts() || !options.data_key.empty()) {
    return SecretBytes(std::span(options.data_key));
  }
  std::vector<std::byte> key(format::ImageKeys::data_key_size_bytes);
  const Status made = random_bytes(key);
  return made ? Result<SecretBytes>(SecretBytes(std::move(key))) : made.error();
}

Result<format::Codec> first_codec(const Superblock& superblock, const SecretBytes& data_key) {
  if (!format::is_encrypted(superblock)) {
    return format::Codec(superblock);
  }
  auto keys = format::ImageKeys::derive(data_key.get(), superblock.uuid);
  return keys ? Result<format::Codec>(format::Codec(superblock, *std::move(keys))) : keys.error();
}

Status write_slots(BlockDevice& device, const Superblock& superblock, const SecretBytes& data_key,
                   const CreateOptions& options) {
  if (options.key_slots.empty()) {
    return {};
  }
  const Result<format::KeyId> id = key_id_of(superblock.uuid, data_key.get());
  return id ? write_first_key_slots(device, {superblock.uuid, *id}, data_key.get(),
                                    options.key_slots)
            : id.error();
}

Status write_metadata(BlockDevice& device, const Superblock& superblock,
                      const PublicMetadata& metadata) {
  if (metadata.empty()) {
    return {};
  }
  const auto content = format::compose_public_metadata(metadata);
  HeaderArea area(device, format::HeaderPart::metadata, superblock.uuid);
  return content ? area.write(*content) : content.error();
}

// Superblocks first, and durably: whatever else happens, no old store's newer superblock can win.
Status wipe(BlockDevice& device, const Geometry& geometry, const CreateOptions& options) {
  const std::vector<std::byte> zeros(step_blocks * block_size_bytes);
  const Result<std::uint64_t> size = device.size_bytes();
  if (!size) {
    return size.error();
  }
  const std::uint64_t block_count =
      geometry.image_block_count() + format::third_copy_blocks_from_end;
  const auto third = third_copy_block(geometry.image_block_count(), *size / block_size_bytes);
  assert(third);
  Status done;
  if (kept(Barrier::create_superblocks_wipe)) {
    done = device.write(0, std::span(zeros).first(format::superblock_count * block_size_bytes));
    done = done ? device.write(*third * block_size_bytes, std::span(zeros).first(block_size_bytes))
                : done;
  }
  if (done && kept(Barrier::create_superblocks_flush)) {
    done = device.flush();
  }
  for (std::uint64_t block = format::superblock_count; done && block < block_count;
       block += step_blocks) {
    const std::uint64_t count = std::min(step_blocks, block_count - block);
    if (kept(Barrier::create_wipe)) {
      done =
          device.write(block * block_size_bytes, std::span(zeros).first(count * block_size_bytes));
    }
    if (options.progress) {
      options.progress((block + count) * block_size_bytes, block_count * block_size_bytes);
    }
  }
  if (done && options.encrypts()) {
    done = fill_with_random(device, format::ring_start_block, geometry.image_block_count());
  }
  return done ? device.flush() : done;
}

Status write_content(Engine& engine, const std::string& blob, std::span<const std::byte> content) {
  Transaction transaction;
  transaction.write(blob, content);
  return engine.commit(transaction);
}

// A blob that was written and is empty is another one than one that was never written.
Status write_nothing(Engine& engine, const std::string& blob) {
  const std::byte one{};
  const Status written = write_content(engine, blob, std::span(&one, 1));
  return written ? write_content(engine, blob, {}) : written;
}

Status fill_from(Engine& engine, const BlobSpec& blob, const CreateOptions& options) {
  const auto content = options.content_of(blob);
  if (!content || !*content) {
    return content ? Status() : content.error();
  }
  return (*content)->empty() ? write_nothing(engine, blob.name)
                             : write_content(engine, blob.name, **content);
}

Status fill(Engine& engine, const CreateOptions& options) {
  for (const NewBlob& blob : options.blobs) {
    Status written;
    if (blob.content) {
      written = write_content(engine, blob.spec.name, *blob.content);
    } else if (options.content_of) {
      written = fill_from(engine, blob.spec, options);
    }
    if (!written) {
      engine.abandon();
      return written;
    }
  }
  if (options.sealed) {
    const Status sealed = engine.seal({}); // Nothing is on the device before the close.
    if (!sealed) {
      engine.abandon();
      return sealed;
    }
  }
  return engine.close();
}

Status format_locked(BlockDevice& device, const CreateOptions& options) {
  const Result<std::uint64_t> size = device.size_bytes();
  const Result<Geometry> geometry =
      size ? plan(device.name(), *size, options) : Result<Geometry>(size.error());
  if (!geometry) {
    return geometry.error();
  }
  const Result<Superblock> superblock = format::first_superblock(*geometry);
  if (!superblock) {
    return superblock.error();
  }
  const Result<SecretBytes> data_key = first_data_key(options);
  const Result<format::Codec> codec =
      data_key ? first_codec(*superblock, *data_key) : data_key.error();
  if (!codec) {
    return codec.error();
  }
  Status wiped = wipe(device, *geometry, options);
  if (wiped) {
    wiped = write_slots(device, *superblock, *data_key, options);
  }
  wiped = wiped ? write_metadata(device, *superblock, options.metadata) : wiped;
  if (!wiped) {
    return wiped;
  }
  OpenOptions open_options;
  open_options.background = false;
  open_options.blobs = specs_of(options.blobs);
  for (const NewBlob& blob : options.blobs) {
    for (const Attribute& attribute : blob.spec.attributes) {
      open_options.known_attributes.insert(attribute.name);
    }
  }
  Result<std::unique_ptr<Engine>> engine = Engine::create(
      std::make_unique<ForwardingDevice>(device), *superblock, *codec, std::move(open_options));
  return engine ? fill(**engine, options) : engine.error();
}

} // namespace

Status check_room(const std::string& device_name, std::uint64_t device_size_bytes,
                  const CreateOptions& options) {
  const Result<Geometry> geometry = plan(device_name, device_size_bytes, options);
  return geometry ? Status() : geometry.error();
}

Status make_on_free_device(BlockDevice& device, bool force, const std::function<Status()>& make) {
  if (!device.capabilities().write) {
    return Error{ErrorKind::read_only, fmt::format("{}: the device is read-only", device.name())};
  }
  Status done = device.lock_for_writing();
  if (!done) {
    return done;
  }
  if (!force) {
    done = check_creatable(device);
  }
  done = done ? make() : done;
  device.unlock();
  return done;
}

Status create_image(BlockDevice& device, const CreateOptions& options) {
  const Status fit = check_contents(options);
  return fit || !device.capabilities().write
             ? make_on_free_device(device, options.force,
                                   [&] { return format_locked(device, options); })
             : fit;
}

Status resize_image(BlockDevice& device, std::uint64_t size_bytes, const KeyRing& keys) {
  OpenOptions open_options;
  open_options.keys = keys;
  open_options.background = false;
  Result<std::unique_ptr<Engine>> engine =
      Engine::open(std::make_unique<ForwardingDevice>(device), std::move(open_options));
  if (!engine) {
    return engine.error();
  }
  const std::uint64_t now_bytes = (*engine)->info().image_size_bytes;
  const Result<std::uint64_t> device_bytes = device.size_bytes();
  if (!device_bytes) {
    return device_bytes.error();
  }
  const std::uint64_t wanted_bytes =
      std::min(size_bytes == 0 ? *device_bytes : size_bytes, image_size_max_bytes) /
      block_size_bytes * block_size_bytes;
  if (wanted_bytes < now_bytes || size_bytes > image_size_max_bytes) {
    return Error{ErrorKind::invalid_argument,
                 fmt::format("{}: {} bytes: an image can only grow, from {} to at most {} bytes",
                             device.name(), size_bytes, now_bytes, image_size_max_bytes)};
  }
  const std::uint64_t blocks = std::min(wanted_bytes / block_size_bytes,
                                        blocks_for_image(std::max(wanted_bytes, *device_bytes)));
  const Status done = (*engine)->grow(blocks, wanted_bytes);
  const Status closed = (*engine)->close();
  return done ? closed : done;
}

} // namespace vnvram
