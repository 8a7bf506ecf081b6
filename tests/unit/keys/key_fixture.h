// An encrypted image's beginning, and keys for it.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "device/memory_device.h"
#include "keys/keyed_image.h"
#include "support/temporary_directory.h"
#include "vnvram/key.h"

namespace vnvram::test {

using Bytes = std::vector<std::byte>;

[[nodiscard]] Bytes bytes_of(std::string_view text);

/// Both superblocks, and zeros behind them.
[[nodiscard]] Bytes image_bytes(const KeyedImage& image, bool encrypted = true);

/// Files with keys in them.
class KeyFiles {
public:
  /// file:PATH of one with this content.
  std::string file(std::string_view content);
  [[nodiscard]] std::string path(const std::string& name) const { return folder_.path(name); }
  /// As file(): the two halves of one key pair.
  std::string private_key();
  std::string public_key();

private:
  TemporaryDirectory folder_;
  int count_ = 0;
};

[[nodiscard]] KeySource source(std::string_view text);
/// Of a passphrase, cheap.
[[nodiscard]] NewKeySlot new_slot(std::string_view text, std::string_view label = "");

/// A data key, the image that is named after it, and a device with nothing but superblocks.
struct EncryptedImage {
  EncryptedImage();
  KeyedImage image;
  Bytes data_key;
  std::shared_ptr<MemoryDisk> disk;
  MemoryDevice device;
};

} // namespace vnvram::test
