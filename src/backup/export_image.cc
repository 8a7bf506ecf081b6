#include "backup/export_image.h"

#include <fmt/core.h>

#include "backup/link_check.h"

namespace vnvram {
namespace {

constexpr const char* full_export = "make a full export";

Status check_base(const std::string& who, const ExportBase& base, const ImageState& state) {
  if (base.uuid && *base.uuid != state.uuid) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("{}: this is image {}, and the earlier export is of image {}", who,
                             uuid_text(state.uuid), uuid_text(*base.uuid)),
                 full_export);
  }
  if (base.generation > state.generation) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("{}: it has generation {}, which is older than {}: that export is of "
                             "another image, or an older state was put back since",
                             who, state.generation, base.generation),
                 full_export);
  }
  return {};
}

} // namespace

Result<ExportReport> export_image(BlobSource& source, const std::string& who,
                                  const std::optional<ExportBase>& base, const ExportTarget& target,
                                  const Capture::Progress& progress) {
  if (base) { // Before anything is read.
    const Result<Moment> now = source.changes(UINT64_MAX, 0);
    const Status fits = now ? check_base(who, *base, now->state) : now.error();
    if (!fits) {
      return fits.error();
    }
  }
  Result<BlobSpool> spool = BlobSpool::make(target.path, !target.key_slots.empty());
  if (!spool) {
    return spool.error();
  }
  const std::optional<std::uint64_t> since =
      base ? std::optional<std::uint64_t>(base->generation) : std::nullopt;
  const Result<ExportManifest> manifest = Capture(source, who, since, *spool, progress).run();
  if (!manifest) {
    return manifest.error();
  }
  Status fits =
      base ? check_base(who, *base, {.uuid = manifest->uuid, .generation = manifest->generation})
           : Status();
  if (fits && base && base->manifest) {
    const std::string before = "the earlier export";
    fits = check_link({before, *base->manifest}, {who, *manifest},
                      [&](std::string_view blob) { return spool->has(std::string(blob)); });
  }
  return fits ? write_export(*manifest, *spool, target) : fits.error();
}

} // namespace vnvram
