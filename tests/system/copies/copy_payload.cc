#include "copies/copy_payload.h"

#include <algorithm>
#include <cstring>
#include <span>

#include <fmt/core.h>

namespace vnvram::test {
namespace {

using Bytes = std::vector<std::byte>;

constexpr const char* number_blob = "number";
constexpr const char* whole_blob = "whole";
constexpr const char* windows_blob = "windows";
constexpr std::uint64_t whole_size_bytes = 12'000;
constexpr std::uint64_t window_count = 16;
constexpr std::uint64_t window_size_bytes = 8'192;

/// Every word tells the number and its place.
std::uint64_t word(std::uint64_t number, std::uint64_t place) {
  return number * 0x9E3779B97F4A7C15U + place * 0xC2B2AE3D27D4EB4FU + 1;
}

void fill_words(std::uint64_t number, std::uint64_t first_place, std::span<std::byte> bytes) {
  for (std::size_t offset = 0; offset < bytes.size(); offset += sizeof(std::uint64_t)) {
    const std::uint64_t value = word(number, first_place + offset);
    std::memcpy(&bytes[offset], &value, sizeof(value));
  }
}

Bytes number_bytes(std::uint64_t number) {
  Bytes bytes(sizeof(number));
  std::memcpy(bytes.data(), &number, sizeof(number));
  return bytes;
}

Bytes whole_bytes(std::uint64_t number) {
  Bytes bytes(whole_size_bytes);
  fill_words(number, 0, bytes);
  return bytes;
}

std::uint64_t window_place(std::uint64_t window) {
  return whole_size_bytes + window * window_size_bytes;
}

/// The last commit up to `number` that wrote the window; commit 0 wrote all of them.
std::uint64_t window_writer(std::uint64_t number, std::uint64_t window) {
  const std::uint64_t behind = (number + window_count - window) % window_count;
  return number >= behind ? number - behind : 0;
}

Bytes windows_bytes(std::uint64_t number) {
  Bytes bytes(window_count * window_size_bytes);
  for (std::uint64_t window = 0; window < window_count; ++window) {
    fill_words(window_writer(number, window), window_place(window),
               std::span(bytes).subspan(window * window_size_bytes, window_size_bytes));
  }
  return bytes;
}

BlobSpec spec(const char* name, std::uint64_t size_max_bytes) {
  BlobSpec spec;
  spec.name = name;
  spec.type = "copies";
  spec.size_max_bytes = size_max_bytes;
  return spec;
}

/// Says in `found` where the blob is not what it must be.
Status compare(Store& store, const char* blob, const Bytes& expected, PayloadFound& found) {
  const auto bytes = store.read(blob);
  if (!bytes) {
    return bytes.error();
  }
  if (*bytes != expected) {
    const auto place =
        std::mismatch(expected.begin(), expected.end(), bytes->begin(), bytes->end()).first;
    found.mixture = fmt::format("{} is not that of commit {} from byte {} on", blob, found.number,
                                place - expected.begin());
  }
  return {};
}

} // namespace

std::vector<BlobSpec> payload_blobs() {
  return {spec(number_blob, sizeof(std::uint64_t)), spec(whole_blob, whole_size_bytes),
          spec(windows_blob, window_count * window_size_bytes)};
}

Transaction payload_transaction(std::uint64_t number) {
  Transaction transaction;
  transaction.write(number_blob, number_bytes(number));
  transaction.write(whole_blob, whole_bytes(number));
  if (number == 0) {
    transaction.write(windows_blob, windows_bytes(0));
    return transaction;
  }
  const std::uint64_t window = number % window_count;
  Bytes bytes(window_size_bytes);
  fill_words(number, window_place(window), bytes);
  transaction.write_range(windows_blob, window * window_size_bytes, std::move(bytes));
  return transaction;
}

Result<PayloadFound> read_payload(Store& store) {
  PayloadFound found;
  Status done =
      store.read_range(number_blob, 0, std::as_writable_bytes(std::span(&found.number, 1)));
  if (done) {
    done = compare(store, whole_blob, whole_bytes(found.number), found);
  }
  if (done) {
    done = compare(store, windows_blob, windows_bytes(found.number), found);
  }
  if (!done) {
    return done.error();
  }
  return found;
}

} // namespace vnvram::test
