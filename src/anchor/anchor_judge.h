// Whether an image is the one that its anchor speaks of.
#pragma once

#include <optional>
#include <string>

#include "vnvram/anchor.h"
#include "vnvram/error.h"

namespace vnvram {

/// A pure function of the two. What it rests on: an epoch belongs to one opening for writing, each
/// opening with an anchor tells it before and after the epoch that it begins, and within an epoch
/// history is linear. So an epoch that the anchor does not know was begun without it.
[[nodiscard]] AnchorVerdict judge(const AnchorPoint& image,
                                  const std::optional<AnchorPoint>& anchored);

/// The two with their verdict, and the reason in words.
[[nodiscard]] AnchorComparison compare(const std::string& image_name, const AnchorPoint& image,
                                       const std::string& anchor_name,
                                       const std::optional<AnchorPoint>& anchored);

/// Of a comparison with a reason.
[[nodiscard]] Error not_at_anchor(const AnchorComparison& comparison);

} // namespace vnvram
