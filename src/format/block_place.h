// Which block of the table or of the homes is meant, whichever of its two slots holds it now.
#pragma once

#include <cstdint>

namespace vnvram::format {

enum class BlockKind : std::uint32_t { index, leaf, page };

struct BlockPlace {
  BlockKind kind = BlockKind::page;
  std::uint32_t number = 0; ///< Of the index block, of the leaf's zone, of the page.
};

[[nodiscard]] constexpr BlockPlace index_place(std::uint32_t index) {
  return {BlockKind::index, index};
}
[[nodiscard]] constexpr BlockPlace leaf_place(std::uint32_t zone) {
  return {BlockKind::leaf, zone};
}
[[nodiscard]] constexpr BlockPlace page_place(std::uint32_t page) {
  return {BlockKind::page, page};
}

} // namespace vnvram::format
