// What a key ring holds.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "base/secret_bytes.h"
#include "format/image_keys.h"
#include "format/superblock.h"
#include "keys/keyed_image.h"
#include "vnvram/block_device.h"
#include "vnvram/key_ring.h"
#include "vnvram/result.h"

namespace vnvram {

struct KeyRingState {
  std::mutex mutex; // Of all that is below.
  std::vector<KeySource> sources;
  /// That were given, or found: whoever has the image open makes slots with them, also when the
  /// slot that it was opened by is gone.
  std::vector<SecretBytes> data_keys;
  bool accepts_plain = false;
  /// Of data keys that were found.
  std::map<format::KeyId, std::shared_ptr<const format::ImageKeys>> image_keys;
};

/// What is to be said of an image that is not encrypted. Errors: wrong_key.
Status check_plain(const BlockDevice& device, const KeyRing& ring);

/// The keys of the encrypted image whose superblock this is. Errors: key_needed, wrong_key, corrupt
/// (the slots are damaged), io, unsupported.
Result<std::shared_ptr<const format::ImageKeys>>
find_image_keys(BlockDevice& device, const format::Superblock& superblock, const KeyRing& ring);

/// The data key of that image. The same errors.
Result<SecretBytes> find_data_key(BlockDevice& device, const format::Superblock& superblock,
                                  const KeyRing& ring);
/// From now on the ring opens the image that has this data key as well.
void remember_image_keys(const KeyRing& ring, std::span<const std::byte> data_key,
                         std::shared_ptr<const format::ImageKeys> keys);
/// Another one has taken its place: who was shut out then has the old one. An image from before is
/// opened by its slots again. Not of a ring that has no other way to it.
void forget_data_key(const KeyRing& ring, const KeyedImage& image);

} // namespace vnvram
