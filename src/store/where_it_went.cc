#include "store/where_it_went.h"

#include <fmt/core.h>

#include "store/superblock_reader.h"

namespace vnvram {

Status check_it_went_there(BlockDevice& from, BlockDevice& to) {
  const Result<format::Superblock> left = find_superblock(from);
  if (!left) {
    return left.error();
  }
  const Result<format::Superblock> found = find_superblock(to);
  if (!found) {
    return found.error();
  }
  const std::string remedy = "`move` may have seen another folder or cluster by that name; "
                             "find its copy, or `unseal` the old place if that is lost";
  if (found->uuid != left->uuid) {
    return Error(ErrorKind::foreign,
                 fmt::format("{}: another image is there than the one that was moved from {}",
                             to.name(), from.name()),
                 remedy);
  }
  const bool is_the_copy = (found->features_must_know & format::feature_sealed) != 0 &&
                           found->hand_over == left->hand_over;
  if (!is_the_copy && found->epoch_number <= left->epoch_number) {
    return Error(ErrorKind::stale,
                 fmt::format("{}: an older state is there than the one that was moved from {}",
                             to.name(), from.name()),
                 remedy);
  }
  return {};
}

} // namespace vnvram
