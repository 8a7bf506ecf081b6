#include "unit/keys/key_fixture.h"

#include <algorithm>
#include <cstring>
#include <fstream>

#include <gtest/gtest.h>

#include "format/checksum.h"
#include "format/superblock.h"
#include "keys/data_key.h"

namespace vnvram::test {
namespace {

constexpr std::uint64_t image_blocks = 256;
constexpr std::uint32_t ring_blocks = 16;
constexpr std::uint32_t sealed_entry_bytes = 40;
constexpr std::size_t key_id_at = 360;

KeyedImage image_of(const Bytes& data_key) {
  KeyedImage image;
  image.uuid.fill(std::byte{0x77});
  image.key_id = *key_id_of(image.uuid, data_key);
  return image;
}

} // namespace

Bytes bytes_of(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

Bytes image_bytes(const KeyedImage& image, bool encrypted) {
  Bytes bytes(image_blocks * block_size_bytes);
  format::Superblock superblock =
      *format::first_superblock(format::Geometry(image_blocks, ring_blocks));
  superblock.magic = format::superblock_magic;
  superblock.format_version = format::format_version;
  superblock.uuid = image.uuid;
  superblock.clean = 1;
  if (encrypted) {
    superblock.features_must_know = format::feature_encrypted;
    superblock.entry_size_bytes = sealed_entry_bytes;
    std::memcpy(std::as_writable_bytes(std::span(&superblock, 1)).subspan(key_id_at).data(),
                image.key_id.data(), image.key_id.size());
  }
  for (std::uint32_t copy = 0; copy < format::superblock_count; ++copy) {
    superblock.copy = copy;
    superblock.sequence = copy + 1;
    const auto block = std::as_bytes(std::span(&superblock, 1));
    superblock.checksum = format::checksum(block.first(offsetof(format::Superblock, checksum)), 0);
    std::memcpy(&bytes[copy * block_size_bytes], &superblock, sizeof(superblock));
  }
  return bytes;
}

std::string KeyFiles::file(std::string_view content) {
  const std::string path = folder_.path("key" + std::to_string(++count_));
  std::ofstream(path, std::ios::binary) << content;
  return "file:" + path;
}

std::string KeyFiles::private_key() {
  return file("-----BEGIN PRIVATE KEY-----\n"
              "MC4CAQAwBQYDK2VuBCIEIDg/YITPvxQsvKWDc95pnLQMMb7HTp7LbWuNJ5RxevZj\n"
              "-----END PRIVATE KEY-----\n");
}

std::string KeyFiles::public_key() {
  return "public:" + file("-----BEGIN PUBLIC KEY-----\n"
                          "MCowBQYDK2VuAyEAt+p8wew6jQoxcR7Se5M+p11qzn7Qr/9GSFfMhJNUrig=\n"
                          "-----END PUBLIC KEY-----\n")
                         .substr(std::string_view("file:").size());
}

KeySource source(std::string_view text) {
  Result<KeySource> parsed = KeySource::parse(text);
  EXPECT_TRUE(parsed.ok()) << text;
  return *std::move(parsed);
}

NewKeySlot new_slot(std::string_view text, std::string_view label) {
  return {.source = source(text), .label = std::string(label), .passes = 1, .memory_kib = 8};
}

EncryptedImage::EncryptedImage()
    : data_key(32, std::byte{0x42}), disk(nullptr), device([this] {
        image = image_of(data_key);
        disk = std::make_shared<MemoryDisk>(image_bytes(image));
        return MemoryDevice(disk);
      }()) {}

} // namespace vnvram::test
