#include "format/image_keys.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/barrier.h"
#include "crypto/key_derivation.h"

namespace vnvram::format {

namespace {

std::string_view purpose(std::string_view wanted) {
  return kept(Barrier::purpose_keys) ? wanted : std::string_view("vnvram 1 block");
}

} // namespace

ImageKeys::ImageKeys(SealingKey records, SealingKey blocks, MessageCodeKey superblocks,
                     const KeyId& id)
    : records_(std::move(records)), blocks_(std::move(blocks)),
      superblocks_(std::move(superblocks)), id_(id) {}

Result<std::shared_ptr<const ImageKeys>> ImageKeys::derive(std::span<const std::byte> data_key,
                                                           std::span<const std::byte, 16> uuid) {
  if (data_key.size() != data_key_size_bytes) {
    return Error(ErrorKind::invalid_argument, "an image's data key has 32 bytes");
  }
  const auto key_for = [&](std::string_view wanted, std::size_t size_bytes) {
    return derive_key(data_key, uuid, purpose(wanted), size_bytes);
  };
  const auto record = key_for("vnvram 1 record", SealingKey::key_size_bytes);
  const auto block = key_for("vnvram 1 block", SealingKey::key_size_bytes);
  const auto superblock = key_for("vnvram 1 superblock", 32);
  KeyId id{};
  const auto id_bytes = key_for("vnvram 1 key id", id.size());
  if (!record || !block || !superblock || !id_bytes) {
    return !record       ? record.error()
           : !block      ? block.error()
           : !superblock ? superblock.error()
                         : id_bytes.error();
  }
  std::ranges::copy(id_bytes->get(), id.begin());
  auto records = SealingKey::make(record->get());
  auto blocks = SealingKey::make(block->get());
  auto superblocks = MessageCodeKey::make(superblock->get());
  if (!records || !blocks || !superblocks) {
    return !records ? records.error() : !blocks ? blocks.error() : superblocks.error();
  }
  return std::shared_ptr<const ImageKeys>(
      new ImageKeys(*std::move(records), *std::move(blocks), *std::move(superblocks), id));
}

} // namespace vnvram::format
