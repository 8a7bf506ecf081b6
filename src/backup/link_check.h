// Whether an increment goes on where the export before it ends.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "backup/export_manifest.h"

namespace vnvram {

/// One end of a link: an export, and what it is called.
struct LinkEnd {
  const std::string& name;
  const ExportManifest& manifest;
};

/// `carries`: whether the increment itself holds that blob; every other one must be as it was
/// before. Errors: invalid_argument (no increment, of another image, something is missing between
/// them, the wrong order), corrupt (of another branch: an older state was put back in between).
Status check_link(const LinkEnd& before, const LinkEnd& increment,
                  const std::function<bool(std::string_view blob)>& carries);

} // namespace vnvram
