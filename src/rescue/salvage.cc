// Salvage: the newest intact version of every blob, from whichever superblock leads to it.
#include <algorithm>
#include <map>

#include <fmt/core.h>

#include "rescue/image_mender.h"
#include "rescue/root_finder.h"
#include "rescue/third_copy_doubt.h"
#include "rescue/zero_filled_device.h"
#include "store/image_view.h"
#include "store/unlock.h"
#include "vnvram/rescue.h"
#include "vnvram/store.h"

namespace vnvram {

namespace {

struct Version {
  BlobSpec spec;
  std::uint64_t generation = 0;
  std::vector<std::byte> content;
};

// The image as one superblock and the records behind it show it, with holes where it is damaged.
class SalvageView {
public:
  SalvageView(BlockDevice& device, const format::Superblock& superblock, const format::Codec& codec)
      : codec_(codec), mender_(device, superblock, codec), readable_(mender_.mended()),
        pages_(mender_.mended(), superblock, codec_, cache_size_default_bytes),
        directory_(format::geometry_of(superblock).page_count()),
        view_(readable_, superblock, codec_, pages_, directory_, OnDamage::note) {}

  Status read(const RescueProgress& progress) {
    mender_.run(progress);
    Status done = view_.load_index();
    if (done) {
      done = view_.replay_ring({});
    }
    if (!done) {
      return done;
    }
    note_ring();
    done = view_.read_directory({});
    if (view_.directory_break()) {
      notes_.push_back(fmt::format("directory page {}: {}: blobs that it or a later page lists "
                                   "are lost",
                                   view_.directory_break()->page,
                                   view_.directory_break()->error.cause()));
    }
    return done;
  }

  [[nodiscard]] const Directory& directory() const { return directory_; }
  [[nodiscard]] std::uint64_t generation() const { return view_.ring_end().behind.sequence; }
  [[nodiscard]] const std::vector<std::string>& notes() const { return notes_; }

  Result<Version> version(const Blob& blob) {
    Version version{.spec = {.name = blob.info.name,
                             .type = blob.info.type,
                             .size_max_bytes = blob.info.size_max_bytes,
                             .producer = blob.info.producer,
                             .attributes = blob.info.attributes},
                    .generation = blob.info.generation,
                    .content = {}};
    for (const SpaceRange& range : blob.ranges_within_pages(0, blob.info.size_bytes)) {
      const auto page = static_cast<std::uint32_t>(range.offset_bytes / block_size_bytes);
      const Result<PageRef> loaded = view_.load(page);
      if (!loaded) {
        return loaded.error();
      }
      const auto bytes = std::span((*loaded)->bytes)
                             .subspan(range.offset_bytes % block_size_bytes, range.length_bytes);
      version.content.insert(version.content.end(), bytes.begin(), bytes.end());
    }
    return version;
  }

private:
  void note_ring() {
    const RingScanner::End& end = view_.ring_end();
    if (end.damaged) {
      notes_.push_back(fmt::format("{}: newer versions than generation {} are lost", end.reason,
                                   end.behind.sequence));
    } else if (readable_.has_filled()) {
      notes_.push_back(fmt::format(
          "part of the ring cannot be read: newer versions than generation {} may be lost",
          end.behind.sequence));
    }
  }

  const format::Codec codec_;
  ImageMender mender_;
  ZeroFilledDevice readable_; // for the ring
  PageStore pages_;
  Directory directory_;
  ImageView view_;
  std::vector<std::string> notes_;
};

class Salvage {
public:
  // The newest superblock first, so that its blobs' reasons are the ones that are told.
  void add(SalvageView& view, bool newest) {
    report_.generation = std::max(report_.generation, view.generation());
    if (newest) {
      report_.notes = view.notes();
      directory_is_whole_ = report_.notes.empty();
    }
    for (const auto& [name, blob] : view.directory().blobs()) {
      if (!newest && directory_is_whole_ && !results_.contains(name)) {
        continue; // It was removed since.
      }
      SalvagedBlob& result = results_[name];
      result.name = name;
      result.type = blob.info.type;
      result.newest_generation = std::max(result.newest_generation, blob.info.generation);
      Result<Version> version = view.version(blob);
      if (!version) {
        result.why = result.why.empty() ? version.error().cause() : result.why;
      } else if (!result.saved || result.generation < version->generation) {
        result.saved = true;
        result.generation = version->generation;
        versions_[name] = *std::move(version);
      }
    }
  }

  [[nodiscard]] CreateOptions create_options() const {
    CreateOptions options;
    for (const auto& [name, version] : versions_) {
      options.blobs.push_back(
          {version.spec, version.generation == 0 ? std::nullopt : std::optional(version.content)});
    }
    return options;
  }

  SalvageReport take_report() {
    for (auto& [name, result] : results_) {
      if (result.saved && result.generation >= result.newest_generation) {
        result.why.clear();
      }
      report_.blobs.push_back(std::move(result));
    }
    return std::move(report_);
  }

private:
  std::map<std::string, SalvagedBlob> results_;
  std::map<std::string, Version> versions_;
  bool directory_is_whole_ = false;
  SalvageReport report_;
};

// Two superblocks of the same checkpoint show the same.
bool same_view(const format::Superblock& a, const format::Superblock& b) {
  return a.index_entries == b.index_entries && a.sealed_entries == b.sealed_entries &&
         a.generation == b.generation && a.epoch_number == b.epoch_number &&
         a.ring_position == b.ring_position;
}

// No lock keeps an owner out: what is damaged is only read, and may be on a read-only device.
bool is_changed(BlockDevice& damaged, const Roots& before) {
  const Result<Roots> now = find_roots(damaged);
  return now && now->superblocks.front().sequence != before.superblocks.front().sequence;
}

Result<std::uint64_t> size_for(const SalvageOptions& options, const CreateOptions& created,
                               const format::Superblock& root, BlockDevice& damaged) {
  if (options.size_bytes != 0) {
    return options.size_bytes;
  }
  std::vector<BlobSpec> specs;
  for (const NewBlob& blob : created.blobs) {
    specs.push_back(blob.spec);
  }
  const Result<std::uint64_t> needed = recommended_size_bytes(specs, 0, created.encrypts());
  const Result<std::uint64_t> there = damaged.size_bytes();
  if (!needed || !there) {
    return needed ? there.error() : needed.error();
  }
  // No more than there is, whatever a superblock claims.
  const std::uint64_t claimed_blocks = root.image_block_count + format::third_copy_blocks_from_end;
  return std::max(*needed, std::min(*there, claimed_blocks * block_size_bytes));
}

// `first`: how reading by the newest superblock went.
Status add_views(BlockDevice& damaged, const Roots& roots, const SalvageOptions& options,
                 const RescueProgress& progress, Salvage& salvage, Status& first) {
  for (std::size_t i = 0; i < roots.superblocks.size(); ++i) {
    if (i > 0 && !roots.contradictory() && same_view(roots.superblocks[0], roots.superblocks[i])) {
      continue;
    }
    const Result<format::Codec> codec = unlock(damaged, roots.superblocks[i], options.keys);
    if (!codec) {
      return codec.error();
    }
    SalvageView view(damaged, roots.superblocks[i], *codec);
    const Status read = view.read(progress);
    if (read) {
      // Of two that cannot be of one image it is the one that leads there, as repair has it.
      const bool decides = i == 0 || (!first && roots.contradictory());
      salvage.add(view, decides);
      first = decides ? Status{} : first;
    } else if (i == 0) { // What the older copy tells of is a second chance, and no loss.
      first = read;
    }
  }
  return {};
}

Status check_stays_encrypted(const Roots& roots, const std::string& out_path,
                             const SalvageOptions& options) {
  if (format::is_encrypted(roots.superblocks.front()) && options.key_slots.empty() &&
      options.data_key.empty() && !options.decrypt) {
    return Error{ErrorKind::invalid_argument,
                 out_path + ": it would not be encrypted, and the damaged image is",
                 "say who can open it (--new-key), or that everybody can (--decrypt)"};
  }
  return {};
}

} // namespace

bool SalvageReport::complete() const {
  return notes.empty() && std::all_of(blobs.begin(), blobs.end(), [](const SalvagedBlob& blob) {
           return blob.saved && blob.generation >= blob.newest_generation;
         });
}

Result<SalvageReport> salvage_image(BlockDevice& damaged, const std::string& out_path,
                                    const SalvageOptions& options, const RescueProgress& progress) {
  const Result<Roots> roots = find_roots(damaged);
  if (!roots) {
    return roots.error();
  }
  if (Status stays = check_stays_encrypted(*roots, out_path, options); !stays) {
    return stays.error();
  }
  Salvage salvage;
  Status first;
  if (Status added = add_views(damaged, *roots, options, progress, salvage, first); !added) {
    return added.error();
  }
  CreateOptions created = salvage.create_options();
  created.key_slots = options.key_slots;
  created.data_key = options.data_key;
  SalvageReport report = salvage.take_report();
  const Result<format::Codec> codec = unlock(damaged, roots->superblocks.front(), options.keys);
  if (!codec) {
    return codec.error();
  }
  if (const auto doubt = roots->by_third_copy
                             ? doubt_third_copy(damaged, roots->superblocks.front(), *codec)
                             : std::nullopt) {
    report.notes.push_back(fmt::format("both superblocks are lost, and {}: versions newer than "
                                       "generation {} may be lost",
                                       *doubt, report.generation));
  }
  if (!first) {
    report.notes.insert(report.notes.begin(), first.error().cause());
  }
  if (!report.complete() && is_changed(damaged, *roots)) {
    return Error{ErrorKind::stale,
                 damaged.name() + ": its owner changed it while it was read: what seems to be lost "
                                  "may be there",
                 "end the owner first, or try again"};
  }
  if (created.blobs.empty() && !report.complete()) {
    return Error{ErrorKind::corrupt, fmt::format("{}: no blob of it is intact", damaged.name()),
                 "restore the image from a backup"};
  }
  created.force = options.force;
  created.device = options.device;
  created.sealed = roots->sealed() && !options.unseal;
  report.sealed = created.sealed;
  const Result<std::uint64_t> size_bytes =
      size_for(options, created, roots->superblocks.front(), damaged);
  if (!size_bytes) {
    return size_bytes.error();
  }
  const Status made = create_image_file(out_path, *size_bytes, created);
  return made ? Result<SalvageReport>(std::move(report)) : made.error();
}

} // namespace vnvram
