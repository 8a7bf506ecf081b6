// An image that is moved to another place: what the two of them say of each other, and which of
// them is the image to go on with.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "format/superblock.h"
#include "vnvram/block_device.h"
#include "vnvram/hand_over.h"
#include "vnvram/result.h"
#include "vnvram/store.h"

namespace vnvram {

// Both are sealed for one hand-over: the new one from its first moment on, the old one by the one
// write that decides. In each one's public metadata there is the number of that hand-over and where
// the other one is. Whoever can change that keeps the image from being opened, which he can anyway;
// nobody comes by it to an image that is not sealed for the same hand-over.
inline constexpr std::string_view moved_to_name = "vnvram/moved-to";
inline constexpr std::string_view moved_from_name = "vnvram/moved-from";

/// The value of such an entry. A key that is in the location is left out.
[[nodiscard]] std::string move_mark(const HandOverNumber& number, std::string_view location);

/// In an image that has no superblocks yet, but for that complete. Durable on return.
Status mark_moved_from(BlockDevice& device, const format::Superblock& superblock,
                       const HandOverNumber& number, std::string_view location);

/// Whether it was moved here, and nobody has opened it for writing since: looks at where it was,
/// which is to be sealed for the same hand-over. False: it is no such image. Errors: sealed (the
/// move was not finished, and the image is still there; or that cannot be looked at).
Result<bool> came_by_move(BlockDevice& device, const format::Superblock& superblock);

/// For who has an operator's word that it may be opened whoever it is sealed for: not while the
/// image is where it was, as somebody has it open there, or could, nor if it went on from there to
/// another place than this; and not while it is where it was moved to, opened there since. What
/// cannot be read there is nobody. Error: sealed.
Status check_nobody_is_elsewhere(BlockDevice& device, const format::Superblock& superblock);

/// Where an image is that is sealed because it was moved; nothing of any other.
[[nodiscard]] std::optional<std::string> place_moved_to(BlockDevice& device);

/// What one sees of a move who only reads: no lock is taken at the other place either.
struct SeenMove {
  std::optional<std::string> to;   ///< As place_moved_to().
  std::optional<std::string> from; ///< Where it was, and nobody has opened it here for writing.
  Status came; ///< With `from`: whether the move was finished, as came_by_move().
};
[[nodiscard]] SeenMove see_move(BlockDevice& device);

/// Why it is sealed: the same, or that it was moved, and where to.
[[nodiscard]] Error with_place_moved_to(BlockDevice& device, const format::Superblock& superblock,
                                        const Error& refusal);

} // namespace vnvram
