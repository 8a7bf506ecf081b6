#include "backup/block_copy.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "backup/block_copier.h"
#include "backup/replaced_file.h"
#include "device/image_format.h"
#include "provision/image_creator.h"
#include "store/unlock.h"
#include "vnvram/store.h"

namespace vnvram {
namespace {

/// 0: there is none, or its size says nothing of the image's.
std::uint64_t size_of_raw_file(const std::string& path) {
  std::error_code none;
  if (!std::filesystem::is_regular_file(path, none)) {
    return 0;
  }
  const auto container = recognise_image(path);
  const auto size_bytes = std::filesystem::file_size(path, none);
  return container && container->format == ImageFormat::raw && !none ? size_bytes : 0;
}

} // namespace

Result<BlockCopyReport> copy_blocks(const BlockCopySource& source, const BlockCopyTarget& target) {
  const Result<SuperblockLook> look = look_at_superblocks(source.device);
  if (!look) {
    return look.error();
  }
  // Before anything is written over: with what is given here it is to be checked in the end.
  const bool has_keys = !target.keys.empty();
  if (const auto opened = has_keys ? unlock(source.device, look->current, target.keys)
                                   : Result<format::Codec>(format::Codec::of_frames(look->current));
      !opened) {
    return opened.error();
  }
  if (Status another = check_replaced_file(source.device, target); !another) {
    return another.error();
  }
  // With room for the third superblock.
  const std::uint64_t whole_bytes =
      (look->current.image_block_count + format::third_copy_blocks_from_end) * block_size_bytes;
  const std::uint64_t size_bytes =
      target.size_bytes != 0
          ? target.size_bytes
          : std::min(std::max(whole_bytes, size_of_raw_file(target.path)), image_size_max_bytes);
  CreateOptions options;
  options.force = target.force;
  options.device = target.device;
  std::optional<BlockCopyReport> report;
  const auto make = [&](BlockDevice& device, const CreateOptions& made) {
    return make_on_free_device(device, made.force, [&]() -> Status {
      Result<BlockCopyReport> copied = BlockCopier(source, target, device).run();
      if (!copied) {
        return copied.error();
      }
      report = *std::move(copied);
      return {};
    });
  };
  const Status done = make_image_file(target.path, size_bytes, options, make);
  if (done && !report) { // Something else was made there: never to be called a copy.
    return Error(ErrorKind::io, target.path + ": nothing was copied to it");
  }
  return done ? Result<BlockCopyReport>(*std::move(report)) : done.error();
}

} // namespace vnvram
