// An image, or what has changed of it, as another image.
#pragma once

#include <optional>
#include <string>

#include "backup/blob_source.h"
#include "backup/capture.h"
#include "backup/export_writer.h"

namespace vnvram {

/// The export that an increment goes on from.
struct ExportBase {
  std::uint64_t generation = 0;
  std::optional<Uuid> uuid = {}; ///< Of the image, if that is known.
  /// The export itself, if it is there: then it is known, too, whether an older state of the image
  /// was put back since.
  std::optional<ExportManifest> manifest = {};
};

/// One generation of everything, as a new image at the target. `who`: the source, in messages.
/// Errors: those of Capture and write_export(); invalid_argument (the base is of another image, or
/// newer than it), corrupt (the base is of another branch). What was at the target is there then.
Result<ExportReport> export_image(BlobSource& source, const std::string& who,
                                  const std::optional<ExportBase>& base, const ExportTarget& target,
                                  const Capture::Progress& progress);

} // namespace vnvram
