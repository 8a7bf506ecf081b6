// The keys of an encrypted image, one for each purpose, from its data key.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "crypto/message_code.h"
#include "crypto/sealing_key.h"
#include "format/layout.h"
#include "vnvram/result.h"

namespace vnvram::format {

/// docs/format.md, "Encryption". Threads: any number may use one.
class ImageKeys {
public:
  static constexpr std::size_t data_key_size_bytes = 32;

  /// Of the image with this uuid. Errors: invalid_argument (no data key has that size), unsupported
  /// (libcrypto cannot).
  static Result<std::shared_ptr<const ImageKeys>> derive(std::span<const std::byte> data_key,
                                                         std::span<const std::byte, 16> uuid);

  [[nodiscard]] const SealingKey& records() const { return records_; }
  [[nodiscard]] const SealingKey& blocks() const { return blocks_; }
  [[nodiscard]] const MessageCodeKey& superblocks() const { return superblocks_; }
  /// Tells which data key it is, and nothing of it.
  [[nodiscard]] const KeyId& id() const { return id_; }

private:
  ImageKeys(SealingKey records, SealingKey blocks, MessageCodeKey superblocks, const KeyId& id);

  SealingKey records_;
  SealingKey blocks_;
  MessageCodeKey superblocks_;
  KeyId id_;
};

} // namespace vnvram::format
