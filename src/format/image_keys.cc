#include "format/image_keys.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/barrier.h"
#include "crypto/key_derivation.h"

namespace vnvram::format {

namespace {

// Of what a key is for; without its barrier, what another one is for.
constexpr std::string_view record_purpose =
    kept(Barrier::record_key) ? "vnvram 1 record" : "vnvram 1 block";
constexpr std::string_view block_purpose =
    kept(Barrier::block_key) ? "vnvram 1 block" : "vnvram 1 record";
constexpr std::string_view superblock_purpose =
    kept(Barrier::superblock_key) ? "vnvram 1 superblock" : "vnvram 1 block";
constexpr std::string_view key_id_purpose =
    kept(Barrier::key_id_derived) ? "vnvram 1 key id" : "vnvram 1 block";

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
    return derive_key(data_key, uuid, wanted, size_bytes);
  };
  const auto record = key_for(record_purpose, SealingKey::key_size_bytes);
  const auto block = key_for(block_purpose, SealingKey::key_size_bytes);
  const auto superblock = key_for(superblock_purpose, 32);
  KeyId id{};
  const auto id_bytes = key_for(key_id_purpose, id.size());
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
