#include "vnvram/transaction.h"

namespace vnvram {

void Transaction::write(std::string_view blob, std::span<const std::byte> bytes) {
  updates_.push_back({Action::write, std::string(blob), 0, bytes, {}});
}

void Transaction::write(std::string_view blob, std::vector<std::byte>&& bytes) {
  updates_.push_back({Action::write, std::string(blob), 0, {}, std::move(bytes)});
  updates_.back().bytes = updates_.back().owned;
}

void Transaction::write_range(std::string_view blob, std::uint64_t offset_bytes,
                              std::span<const std::byte> bytes) {
  updates_.push_back({Action::write_range, std::string(blob), offset_bytes, bytes, {}});
}

void Transaction::write_range(std::string_view blob, std::uint64_t offset_bytes,
                              std::vector<std::byte>&& bytes) {
  updates_.push_back({Action::write_range, std::string(blob), offset_bytes, {}, std::move(bytes)});
  updates_.back().bytes = updates_.back().owned;
}

void Transaction::set_size(std::string_view blob, std::uint64_t size_bytes) {
  updates_.push_back({Action::set_size, std::string(blob), size_bytes, {}, {}});
}

} // namespace vnvram
