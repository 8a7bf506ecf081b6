// Applies a record from the ring to the pages in memory.
#pragma once

#include <functional>

#include "format/record_view.h"
#include "store/page_store.h"
#include "vnvram/result.h"

namespace vnvram {

/// What to do about a page that cannot be read: an error ends the replay, success leaves that page
/// out.
using OnBadPage = std::function<Status(std::uint32_t page, const Error& error)>;

/// Redoes a record's changes. Doing it again does no harm.
Status replay_record(PageStore& pages, const format::RecordView& record,
                     const OnBadPage& on_bad_page);

} // namespace vnvram
