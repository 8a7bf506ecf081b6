#include "rescue/image_checker.h"

#include <algorithm>

#include <fmt/core.h>

#include "keys/header_area.h"
#include "store/superblock_reader.h"
#include "store/third_copy.h"
#include "store/unfinished_superblock.h"
#include "store/unlock.h"

namespace vnvram {

using format::SuperblockState;

namespace {

constexpr int check_attempts_max = 20; // beside an owner that goes on writing

std::string describe(const Result<CheckReport>& report) {
  std::string text;
  for (const CheckProblem& problem : report ? report->problems : std::vector<CheckProblem>()) {
    text += fmt::format("{}: {}\n", problem.place, problem.what);
  }
  return text;
}

} // namespace

ImageChecker::ImageChecker(BlockDevice& device, const format::SuperblockPair& superblocks,
                           format::Codec codec, const Progress& progress)
    : device_(device), superblocks_(superblocks), progress_(progress),
      superblock_(*superblocks.current()), codec_(std::move(codec)),
      pages_(device, superblock_, codec_, cache_size_default_bytes),
      directory_(format::geometry_of(superblock_).page_count()),
      view_(device, superblock_, codec_, pages_, directory_, OnDamage::note) {}

Result<CheckReport> ImageChecker::run() {
  check_superblocks();
  Status done = check_length();
  if (done) {
    done = check_header_area(format::HeaderPart::key_slots, "key slots");
  }
  if (done) {
    done = check_header_area(format::HeaderPart::metadata, "public metadata");
  }
  const Status index = view_.load_index();
  if (!index) {
    report_.problems.push_back(
        {"table index", fmt::format("{}; nothing can be found without it", index.error().cause()),
         listed_unchecked(), true});
    return report_;
  }
  if (done) {
    done = check_ring();
  }
  if (!done && !cut_off_) {
    return done.error();
  }
  check_counters();
  check_directory();
  if (!done) { // The ring lies behind the end, or some of it.
    ring_damaged_ = true;
    ring_reason_ = done.error().cause();
  }
  check_blobs();
  check_pages_of_nobody();
  add_page_problems();
  report_.pages_checked = view_.look_count();
  return report_;
}

Status ImageChecker::check_length() {
  const Result<std::uint64_t> size = device_.size_bytes();
  if (size && *size / block_size_bytes < superblock_.image_block_count) {
    cut_off_ = true;
    report_.problems.push_back(
        {"device", cut_off(device_.name(), superblock_, *size).cause(), {}, true});
  }
  return size ? Status{} : size.error();
}

void ImageChecker::check_counters() {
  const Status countable = vnvram::check_counters(device_.name(), superblock_, report_.generation);
  if (!countable) {
    report_.problems.push_back({"superblock", countable.error().cause(), {}, true});
  }
}

void ImageChecker::check_superblocks() {
  check_third_copy();
  for (unsigned copy = 0; copy < format::superblock_count; ++copy) {
    const format::CheckedSuperblock& checked = superblocks_.copies[copy];
    const std::string place = fmt::format("superblock {}", copy == 0 ? 'A' : 'B');
    if (checked.state == SuperblockState::valid) {
      continue;
    }
    if (may_be_unfinished(codec_, superblock_, checked.superblock)) {
      report_.notes.push_back(fmt::format(
          "{}: {}: a write of it that a power cut tore, or damage; the other one is whole, and "
          "nothing depends on this one",
          place, describe_copy(checked)));
    } else {
      report_.problems.push_back({place, describe_copy(checked), {}, false});
    }
  }
}

// Every opening and every close writes it, so that an image that was closed has one if its device
// has room for it. Nothing depends on it while one of the others is whole.
void ImageChecker::check_third_copy() {
  const Result<std::uint64_t> size = device_.size_bytes();
  if (!size || superblock_.clean == 0 ||
      !third_copy_block(superblock_.image_block_count, *size / block_size_bytes)) {
    return;
  }
  const Result<format::CheckedSuperblock> third = look_at_third_copy(device_);
  const bool ours =
      third && third->state == SuperblockState::valid && third->superblock.uuid == superblock_.uuid;
  if (third && !ours) {
    const bool of_another = third->state == SuperblockState::valid;
    report_.notes.push_back(
        fmt::format("superblock C, which only counts when both others are lost: {}; the next "
                    "opening for writing writes it anew{}",
                    of_another ? "of another store" : describe_copy(*third),
                    third->state == SuperblockState::no_magic
                        ? " if its first 512 bytes are zero: else they may be somebody's"
                        : ""));
  }
}

// Beside a whole copy nothing depends on the other one, and whoever writes there makes both anew.
Status ImageChecker::check_header_area(format::HeaderPart part, const std::string& place) {
  const bool has_slots = part == format::HeaderPart::key_slots;
  const auto judged = HeaderArea(device_, part, superblock_.uuid).look();
  if (!judged) {
    return judged.error();
  }
  const bool belongs_there = !has_slots || codec_.seals() || judged->is_zero;
  // Nothing of a blob is lost with it, but what opens an encrypted image.
  const bool data_lost = judged->is_lost && has_slots && codec_.seals();
  if (belongs_there && judged->is_unfinished) {
    report_.notes.push_back(fmt::format("{}: {}: a change that a power cut tore; what the other "
                                        "copy says counts, and the next change makes both anew",
                                        place, judged->damage));
  } else if (!judged->damage.empty() || !belongs_there) {
    report_.problems.push_back({place, belongs_there ? judged->damage : "not zero", {}, data_lost});
  }
  return {};
}

Status ImageChecker::check_ring() {
  const Status replayed =
      view_.replay_ring([&](const format::RecordView&, std::uint32_t, const RingPosition&) {
        ++report_.records_checked;
        return Status{};
      });
  if (!replayed) {
    return replayed;
  }
  const RingScanner::End& end = view_.ring_end();
  report_.generation = end.behind.sequence;
  ring_damaged_ = end.damaged;
  ring_reason_ = end.reason;
  if (end.torn && !end.damaged) {
    report_.notes.push_back(fmt::format(
        "{}: a commit that a power cut tore before it was acknowledged, or damage to the "
        "last one; nothing on the image can tell",
        end.reason));
  }
  return {};
}

void ImageChecker::check_directory() {
  static_cast<void>(view_.read_directory({})); // Damage is noted.
  if (view_.directory_break()) {
    const ImageView::DirectoryBreak& at = *view_.directory_break();
    report_.problems.push_back(
        {fmt::format("directory page {}", at.page),
         fmt::format("{}; blobs that it or a later page lists are lost", at.error.cause()),
         listed_unchecked(), true});
  }
}

// For messages only: nothing vouches for what is read here, and it may be older than the damage.
std::vector<std::string> ImageChecker::listed_unchecked() {
  const format::Geometry geometry = format::geometry_of(superblock_);
  std::set<std::string> names;
  std::set<std::uint32_t> seen;
  std::vector<std::uint32_t> pages{0};
  while (!pages.empty()) {
    const std::uint32_t page = pages.back();
    pages.pop_back();
    if (page >= geometry.page_count() || !seen.insert(page).second) {
      continue;
    }
    for (const unsigned slot : {0U, 1U}) {
      format::DirectoryPage content{};
      const Status read = device_.read(geometry.page_block(page, slot) * block_size_bytes,
                                       std::as_writable_bytes(std::span(&content, 1)));
      bool plausible = false;
      for (const format::DirectoryEntry& entry : content.entries) {
        const char* reason = nullptr;
        const auto decoded = read ? format::decode_directory_entry(entry, reason) : std::nullopt;
        if (decoded && directory_.find(decoded->info.name) == nullptr) {
          names.insert(decoded->info.name);
        }
        plausible = plausible || decoded;
      }
      if (plausible) {
        pages.push_back(content.next_page);
      }
    }
  }
  return {names.begin(), names.end()};
}

std::vector<std::string> ImageChecker::all_blobs() const {
  std::vector<std::string> names;
  for (const auto& [name, blob] : directory_.blobs()) {
    names.push_back(name);
  }
  return names;
}

void ImageChecker::check_blobs() {
  if (ring_damaged_) {
    report_.problems.push_back({"ring", ring_reason_, all_blobs(), true});
  }
  std::uint64_t all_bytes = 0;
  for (const auto& [name, blob] : directory_.blobs()) {
    all_bytes += blob.info.size_max_bytes;
  }
  std::uint64_t done_bytes = 0;
  for (const auto& [name, blob] : directory_.blobs()) {
    ++report_.blobs_checked;
    CheckedBlob& checked = report_.blobs.emplace_back(
        CheckedBlob{name, blob.info.generation, blob.info.size_bytes, !ring_damaged_});
    for (const format::PageRun& run : blob.runs) {
      for (std::uint32_t page = run.first_page; page < run.first_page + run.page_count; ++page) {
        checked.intact = view_.load(page).ok() && checked.intact; // Noted, if not.
      }
    }
    done_bytes += blob.info.size_max_bytes;
    if (progress_) {
      progress_(done_bytes, all_bytes);
    }
  }
}

// They are zero, and in no slot, on an image that an engine wrote. Whoever registers a blob reads
// them.
void ImageChecker::check_pages_of_nobody() {
  const format::Geometry geometry = format::geometry_of(superblock_);
  const std::vector<bool>& looked_at = view_.looked_at();
  for (std::uint32_t zone = 0; zone < geometry.zone_count(); ++zone) {
    const auto pages = pages_.pages_in_slots(zone);
    if (!pages) {
      const format::NumberRange all = geometry.pages_of(zone);
      const auto begin = looked_at.begin() + all.first;
      const auto end = looked_at.begin() + all.end;
      if (std::find(begin, end, true) == end) { // Else its leaf's damage is known by these pages.
        bad_leaves_.emplace(all.first, pages.error());
      }
      continue;
    }
    for (const std::uint32_t page : *pages) {
      if (!looked_at[page]) {
        static_cast<void>(view_.load(page)); // Noted, if it is bad.
      }
      note_replaced_home(page);
    }
  }
}

// The next checkpoint writes it anew. Until then a repair would.
void ImageChecker::note_replaced_home(std::uint32_t page) {
  const Status home = pages_.check_replaced_home(page);
  if (!home && !view_.bad_pages().contains(page)) {
    report_.notes.push_back(
        fmt::format("{}; the log has all of that page since, and nothing depends on this",
                    home.error().cause()));
  }
}

// One damaged leaf makes many pages unreadable: one problem for each cause.
void ImageChecker::add_page_problems() {
  std::map<std::uint32_t, Error> bad_pages = view_.bad_pages();
  bad_pages.insert(bad_leaves_.begin(), bad_leaves_.end());
  std::map<std::string, std::set<std::string>> blobs_by_cause;
  for (const auto& [page, error] : bad_pages) {
    blobs_by_cause[error.cause()].insert(directory_.owner_of(page));
  }
  for (const auto& [cause, owners] : blobs_by_cause) {
    CheckProblem problem{"content", cause, {}, true};
    std::copy_if(owners.begin(), owners.end(), std::back_inserter(problem.blobs),
                 [](const std::string& owner) { return !owner.empty(); });
    report_.problems.push_back(std::move(problem));
  }
}

Result<CheckReport>
check_image(BlockDevice& device,
            const std::function<void(std::uint64_t done_bytes, std::uint64_t all_bytes)>& progress,
            const KeyRing& keys) {
  std::string last_found;
  for (int attempt = 1;; ++attempt) {
    const Result<format::Superblock> current = find_superblock_of_any_length(device);
    if (!current) {
      return current.error();
    }
    const Result<format::SuperblockPair> superblocks = format::read_superblocks(device);
    if (!superblocks || superblocks->current() == nullptr) {
      return superblocks ? Error{ErrorKind::stale,
                                 fmt::format("{}: it changed while it was read", device.name())}
                         : superblocks.error();
    }
    Result<format::Codec> codec = unlock(device, *superblocks->current(), keys);
    if (!codec) {
      return codec.error();
    }
    Result<CheckReport> report =
        ImageChecker(device, *superblocks, *std::move(codec), progress).run();
    const Result<format::Superblock> after = find_superblock_of_any_length(device);
    const bool moved = !after || after->sequence != superblocks->current()->sequence;
    // An owner appends to the ring while we read it, so one look can find a break that is none.
    // What two looks in a row find, with no checkpoint in between, is there.
    const std::string found = describe(report);
    if (report ? report->clean() || (!moved && found == last_found) : !moved) {
      return report;
    }
    last_found = moved ? std::string() : found;
    if (attempt == check_attempts_max) {
      return Error{ErrorKind::stale,
                   fmt::format("{}: its owner writes faster than it can be checked", device.name()),
                   "try again when it is less busy"};
    }
  }
}

} // namespace vnvram
