// What an image keeps of an operator's word that it is the one to go on with.
#pragma once

#include <string>

#include "vnvram/anchor.h"

namespace vnvram::cli {

/// "TIME by USER on HOST: ...", with both generations and the operator's note.
[[nodiscard]] std::string acceptance_text(const AnchorComparison& found, const std::string& note);

/// Keeps it in the image's public metadata. Called with the image's lock, before anything else is
/// written to it.
Status keep_acceptance(BlockDevice& device, const std::string& text);

} // namespace vnvram::cli
