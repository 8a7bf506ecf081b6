#include "rescue/image_dump.h"

#include <map>

#include <fmt/core.h>

#include "format/codec.h"
#include "format/superblock_pair.h"
#include "rescue/ring_dump.h"
#include "rescue/table_dump.h"
#include "store/image_view.h"
#include "store/superblock_reader.h"
#include "store/third_copy.h"
#include "store/unlock.h"
#include "vnvram/store.h"

namespace vnvram {
namespace {

using format::SuperblockState;

const char* state_text(SuperblockState state) {
  switch (state) {
  case SuperblockState::valid: return "";
  case SuperblockState::zero: return "all zero";
  case SuperblockState::no_magic: return "not a superblock";
  case SuperblockState::damaged: return "damaged";
  case SuperblockState::bogus: return "cannot be";
  case SuperblockState::too_new: return "too new";
  }
  return "unknown";
}

ImageDump::Superblock dump_superblock(const format::CheckedSuperblock& checked, unsigned copy,
                                      const format::Superblock* used) {
  ImageDump::Superblock superblock;
  superblock.copy = copy;
  superblock.valid = checked.state == SuperblockState::valid;
  superblock.why = state_text(checked.state);
  if (*checked.reason != '\0') {
    superblock.why += fmt::format(": {}", checked.reason);
  }
  superblock.current = used == &checked.superblock;
  superblock.fields = checked.superblock;
  return superblock;
}

void list_entries(std::uint32_t number, const format::DirectoryPage& page, ImageDump& dump) {
  for (std::size_t index = 0; index < page.entries.size(); ++index) {
    if (format::is_free(page.entries[index])) {
      continue;
    }
    ImageDump::Entry entry;
    entry.page = number;
    entry.index = index;
    const char* reason = "";
    auto decoded = format::decode_directory_entry(page.entries[index], reason);
    entry.valid = decoded.has_value();
    if (decoded) {
      entry.decoded = std::move(*decoded);
    } else {
      entry.why = reason;
    }
    dump.directory.push_back(std::move(entry));
  }
}

/// The directory as recovery would see it; what cannot be believed is zero.
void dump_directory(ImageView& view, ImageDump& dump) {
  std::map<std::uint32_t, const ImageDump::Page*> bad_pages;
  for (const ImageDump::Page& page : dump.pages) {
    if (!page.valid) {
      bad_pages.emplace(page.number, &page);
    }
  }
  bool told = false;
  const auto tell_of_break = [&] {
    if (view.directory_break() && !told) {
      dump.remarks.push_back(view.directory_break()->error.cause());
      told = true;
    }
  };
  static_cast<void>(
      view.read_directory([&](std::uint32_t number, const format::DirectoryPage& page) {
        tell_of_break(); // At the page before this one.
        if (const auto bad = bad_pages.find(number); bad != bad_pages.end()) {
          dump.remarks.push_back(fmt::format("directory page {}: {}", number, bad->second->why));
        }
        list_entries(number, page, dump);
      }));
  tell_of_break();
  if (!view.directory_end().empty()) {
    dump.remarks.push_back(view.directory_end());
  }
}

/// Reads one image by one superblock, and goes on wherever something is wrong.
void dump_by(BlockDevice& device, const format::Superblock& superblock, const format::Codec& codec,
             ImageDump& dump) {
  PageStore pages(device, superblock, codec, cache_size_default_bytes);
  Directory directory(format::geometry_of(superblock).page_count());
  ImageView view(device, superblock, codec, pages, directory, OnDamage::show);
  static_cast<void>(view.load_index()); // The table's own blocks are told of below.

  RingDump ring(device, superblock, codec, dump);
  ring.list();
  const Status replayed = view.replay_ring(
      [&](const format::RecordView& record, std::uint32_t position, const RingPosition&) {
        ring.mark_counting(record, position);
        return Status();
      });
  if (!replayed || view.ring_end().damaged) {
    dump.remarks.push_back(replayed ? view.ring_end().reason : replayed.error().cause());
  }
  TableDump table(device, superblock, codec, dump);
  walk_table(superblock, codec, table);
  dump_directory(view, dump);
}

/// The one to read the rest by: the current one, the third copy without one, or the better of two
/// damaged ones if its numbers are possible at all.
const format::Superblock* superblock_to_use(const format::SuperblockPair& pair,
                                            const format::CheckedSuperblock& third) {
  if (const auto* current = pair.current()) {
    return current;
  }
  if (third.state == SuperblockState::valid) {
    return &third.superblock;
  }
  const format::Superblock* best = nullptr;
  for (const auto& copy : pair.copies) {
    const format::Superblock& fields = copy.superblock;
    const format::Geometry geometry = format::geometry_of(fields);
    const bool legible =
        copy.state == SuperblockState::damaged || copy.state == SuperblockState::bogus;
    if (legible && geometry.valid() && fields.ring_position < fields.ring_block_count &&
        (best == nullptr || fields.sequence > best->sequence)) {
      best = &fields;
    }
  }
  return best;
}

} // namespace

Result<ImageDump> dump_image(BlockDevice& device, const KeyRing& keys) {
  const auto found = find_superblock(device);
  if (!found && found.error().kind() != ErrorKind::corrupt) {
    return found.error();
  }
  const auto size_bytes = device.size_bytes();
  const auto pair = format::read_superblocks(device);
  if (!size_bytes || !pair) {
    return size_bytes ? pair.error() : size_bytes.error();
  }
  ImageDump dump;
  dump.device_size_bytes = *size_bytes;
  const auto found_third = look_at_third_copy(device);
  const format::CheckedSuperblock third = found_third ? *found_third : format::CheckedSuperblock{};
  const format::Superblock* used = superblock_to_use(*pair, third);
  for (unsigned copy = 0; copy < pair->copies.size(); ++copy) {
    dump.superblocks.push_back(dump_superblock(pair->copies[copy], copy, used));
  }
  if (third.state != SuperblockState::zero && third.state != SuperblockState::no_magic) {
    dump.superblocks.push_back(dump_superblock(third, format::third_copy, used));
  }
  if (!found) {
    dump.remarks.push_back(found.error().cause());
  }
  if (used == nullptr) {
    dump.remarks.push_back("no superblock says where the rest is");
    return dump;
  }
  const Result<format::Codec> codec = unlock(device, *used, keys);
  if (!codec) {
    return codec.error();
  }
  dump_by(device, *used, *codec, dump);
  const auto again = format::read_superblocks(device);
  if (again && pair->current() != nullptr && again->current() != nullptr &&
      again->current()->sequence != pair->current()->sequence) {
    return Error(ErrorKind::stale, fmt::format("{}: changed while it was read", device.name()),
                 "try again");
  }
  return dump;
}

} // namespace vnvram
