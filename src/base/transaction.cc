#include "vnvram/transaction.h"

namespace vnvram {

void Transaction::write(std::string_view blob, std::span<const std::byte> bytes) {
  updates_.push_back({Action::write, std::string(blob), 0, bytes, {}, 0});
}

void Transaction::write(std::string_view blob, std::vector<std::byte>&& bytes) {
  updates_.push_back({Action::write, std::string(blob), 0, {}, std::move(bytes), 0});
  updates_.back().bytes = updates_.back().owned;
}

void Transaction::write_range(std::string_view blob, std::uint64_t offset_bytes,
                              std::span<const std::byte> bytes) {
  updates_.push_back({Action::write_range, std::string(blob), offset_bytes, bytes, {}, 0});
}

void Transaction::write_range(std::string_view blob, std::uint64_t offset_bytes,
                              std::vector<std::byte>&& bytes) {
  updates_.push_back(
      {Action::write_range, std::string(blob), offset_bytes, {}, std::move(bytes), 0});
  updates_.back().bytes = updates_.back().owned;
}

void Transaction::zero_range(std::string_view blob, std::uint64_t offset_bytes,
                             std::uint64_t length_bytes) {
  updates_.push_back({Action::zero_range, std::string(blob), offset_bytes, {}, {}, length_bytes});
}

void Transaction::set_size(std::string_view blob, std::uint64_t size_bytes) {
  updates_.push_back({Action::set_size, std::string(blob), size_bytes, {}, {}, 0});
}

} // namespace vnvram
