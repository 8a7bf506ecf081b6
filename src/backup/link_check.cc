#include "backup/link_check.h"

#include <fmt/core.h>

namespace vnvram {
namespace {

Status check_order(const LinkEnd& before, const LinkEnd& increment) {
  const std::uint64_t since = *increment.manifest.since;
  const std::uint64_t there = before.manifest.generation;
  if (since == there) {
    return {};
  }
  return Error(
      ErrorKind::invalid_argument,
      fmt::format("{}: it has what changed after generation {}, and {} is of generation {}",
                  increment.name, since, before.name, there),
      since > there ? "an increment is missing in between, or the order is another one"
                    : "it belongs further in front: name the increments as they were made");
}

bool is_unchanged(const ExportedBlob& before, const ExportedBlob& now) {
  return before.info.type == now.info.type && before.info.size_bytes == now.info.size_bytes &&
         before.info.generation == now.info.generation &&
         before.info.registered_generation == now.info.registered_generation &&
         before.digest == now.digest;
}

} // namespace

Status check_link(const LinkEnd& before, const LinkEnd& increment,
                  const std::function<bool(std::string_view blob)>& carries) {
  if (!increment.manifest.since) {
    return Error(ErrorKind::invalid_argument, increment.name + ": no increment but a full export",
                 "begin with it, and leave out what is before it");
  }
  if (before.manifest.uuid != increment.manifest.uuid) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("{}: an export of image {}, and {} is one of image {}", increment.name,
                             uuid_text(increment.manifest.uuid), before.name,
                             uuid_text(before.manifest.uuid)));
  }
  if (Status ordered = check_order(before, increment); !ordered) {
    return ordered;
  }
  for (const ExportedBlob& blob : increment.manifest.blobs) {
    const ExportedBlob* old = before.manifest.find(blob.info.name);
    if (!carries(blob.info.name) && (old == nullptr || !is_unchanged(*old, blob))) {
      return Error(ErrorKind::corrupt,
                   fmt::format("{}: blob {} should not have changed since generation {}, and is "
                               "another one in {}: an older state of the image was put back in "
                               "between",
                               increment.name, blob.info.name, *increment.manifest.since,
                               before.name),
                   "make a full export");
    }
  }
  return {};
}

} // namespace vnvram
