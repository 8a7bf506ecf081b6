// Changes of the directory: registering, reconciling, removing.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "store/directory.h"
#include "store/stage.h"
#include "vnvram/blob.h"
#include "vnvram/result.h"
#include "vnvram/store.h"

namespace vnvram {

[[nodiscard]] std::vector<BlobSpec> specs_of(std::span<const NewBlob> blobs);

/// Reconciles the specs with the directory (a copy) and logs what that changes. On an error the
/// copy and the stage are to be thrown away.
Status register_in(Directory& directory, Stage& stage, std::span<const BlobSpec> specs,
                   const format::Geometry& geometry);

/// How many pages more at the image's end would let the specs find room. 0: they find it, or no
/// number of pages would help.
[[nodiscard]] std::uint32_t pages_to_add(const Directory& directory,
                                         std::span<const BlobSpec> specs,
                                         const format::Geometry& geometry);

/// What a read-only opener may ask: is everything there, of this type, and large enough?
Status compare_with(const Directory& directory, std::span<const BlobSpec> specs);

Status remove_from(Directory& directory, Stage& stage, std::string_view name);

} // namespace vnvram
