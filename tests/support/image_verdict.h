// What check says of an image, and whether everything else that looks at it says the same.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "vnvram/key_ring.h"

namespace vnvram::test {

/// Every command on a copy of the image, one after the other: who lists, reads, dumps, writes,
/// registers, removes, resizes, seals and unseals. Returns what was refused as damage, in words;
/// empty: nothing. A refusal for another reason (a full image, an attribute that must be known) is
/// none. With `thoroughly` it is salvaged, too, which costs a file.
[[nodiscard]] std::string refused_as_damaged(const std::vector<std::byte>& image, bool thoroughly,
                                             const KeyRing& keys = {});

/// The rules that hold for any image, whatever was done to it:
///   - where check finds nothing, nothing refuses, and repair changes nothing unless check has a
///   note;
///   - after a repair that says that the image is sound check finds nothing;
///   - after one that says that it is not check finds something.
/// Returns which rule is broken; empty: none.
[[nodiscard]] std::string disagreement(const std::vector<std::byte>& image, bool thoroughly,
                                       const KeyRing& keys = {});

} // namespace vnvram::test
