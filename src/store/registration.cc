#include "store/registration.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <map>

#include <fmt/core.h>

namespace vnvram {

using format::DirectoryEntry;
using format::PageRun;

namespace {

std::uint32_t pages_for(std::uint64_t size_bytes) {
  return static_cast<std::uint32_t>((size_bytes + block_size_bytes - 1) / block_size_bytes);
}

Status check_specs(std::span<const BlobSpec> specs, const format::Geometry& geometry) {
  std::set<std::string_view> names;
  for (const BlobSpec& spec : specs) {
    const Status checked = format::check_spec(spec);
    if (!checked) {
      return checked;
    }
    if (!names.insert(spec.name).second) {
      return Error{ErrorKind::invalid_argument,
                   fmt::format("blob {}: named twice in one set", spec.name)};
    }
    const std::uint32_t needed = format::Geometry::record_blocks_for(spec.size_max_bytes);
    if (needed > geometry.record_block_count_max()) {
      return Error{
          ErrorKind::too_large,
          fmt::format("blob {}: a rewrite of {} bytes needs a ring of {} bytes and this one "
                      "is {} bytes",
                      spec.name, spec.size_max_bytes, 2 * std::uint64_t{needed} * block_size_bytes,
                      std::uint64_t{geometry.ring_block_count()} * block_size_bytes),
          "make a new image with a larger ring: `create --ring-size`"};
    }
  }
  return {};
}

Status type_mismatch(const Blob& blob, const BlobSpec& spec) {
  return Error{ErrorKind::type_mismatch,
               fmt::format("blob {}: its type on the image is {}, not {}", spec.name,
                           blob.info.type, spec.type),
               "use another name, or remove the blob: `rm`"};
}

/// What a set takes of an image.
struct Needs {
  std::uint64_t pages = 0; ///< With the directory's.
  std::uint64_t new_entries = 0;
};

Needs needs_of(const Directory& directory, std::span<const BlobSpec> specs) {
  std::uint64_t pages = 0;
  std::uint64_t new_entries = 0;
  for (const BlobSpec& spec : specs) {
    const Blob* blob = directory.find(spec.name);
    const std::uint64_t has = blob == nullptr ? 0 : pages_for(blob->info.size_max_bytes);
    pages += std::max<std::uint64_t>(pages_for(spec.size_max_bytes), has) - has;
    new_entries += blob == nullptr ? 1 : 0;
  }
  const std::uint64_t entries = directory.blobs().size() + new_entries;
  const std::uint64_t directory_pages =
      (entries + format::directory_entries_per_page - 1) / format::directory_entries_per_page;
  pages +=
      std::max<std::uint64_t>(directory_pages, directory.pages().size()) - directory.pages().size();
  return {pages, new_entries};
}

// Before anything is taken, so that the message can say how much is missing for the whole set.
Status check_space(const Directory& directory, std::span<const BlobSpec> specs) {
  const auto [pages, new_entries] = needs_of(directory, specs);
  if (directory.blobs().size() + new_entries > blob_count_max) {
    return Error{ErrorKind::no_space,
                 fmt::format("an image holds at most {} blobs", blob_count_max),
                 "remove some: `rm`"};
  }
  if (pages > directory.free_page_count()) {
    const std::uint64_t missing = 2 * (pages - directory.free_page_count()) * block_size_bytes;
    return Error{ErrorKind::no_space, fmt::format("the image is {} bytes too small", missing),
                 "make it larger: `resize`; or let it grow: `--grow`"};
  }
  return {};
}

Error fragmented(const BlobSpec& spec) {
  return {ErrorKind::no_space,
          fmt::format("blob {}: the free space is in too many pieces", spec.name),
          "make the image larger: `resize`"};
}

// Where there is no stage it is only asked whether all of it would fit.
Status zero_space(Stage* stage, std::uint64_t offset_bytes, std::uint32_t length_bytes) {
  return stage == nullptr ? Status{} : stage->zero_space(offset_bytes, length_bytes);
}

Status write_space(Stage* stage, std::uint64_t offset_bytes, std::span<const std::byte> bytes) {
  return stage == nullptr ? Status{} : stage->write_space(offset_bytes, bytes);
}

Status write_entry(Stage* stage, const Directory& directory, const Blob& blob,
                   const BlobSpec& spec) {
  assert(directory.find(blob.info.name) == &blob);
  DirectoryEntry entry = format::make_directory_entry(spec);
  format::set_producer(entry, blob.info.producer);
  entry.size_max_bytes = blob.info.size_max_bytes;
  entry.size_bytes = blob.info.size_bytes;
  entry.generation = blob.info.generation;
  entry.registered_generation = blob.info.registered_generation;
  entry.page_run_count = static_cast<std::uint32_t>(blob.runs.size());
  std::copy(blob.runs.begin(), blob.runs.end(), entry.page_runs.begin());
  return write_space(stage, blob.entry_offset_bytes, std::as_bytes(std::span(&entry, 1)));
}

// Free pages are zero on an image that this engine has written, and then this costs nothing. On one
// that somebody else has made, old bytes would come back as a blob's, or as entries of the
// directory.
Status clear_pages(Stage* stage, std::span<const PageRun> runs) {
  Status cleared;
  for (auto run = runs.begin(); cleared && run != runs.end(); ++run) {
    cleared = zero_space(stage, std::uint64_t{run->first_page} * block_size_bytes,
                         run->page_count * std::uint32_t{block_size_bytes});
  }
  return cleared;
}

Status grow_blob(Directory& directory, Stage* stage, Blob& blob, const BlobSpec& spec) {
  const std::uint32_t more = pages_for(spec.size_max_bytes) - pages_for(blob.info.size_max_bytes);
  if (more > 0) {
    const auto runs = directory.find_free(more, format::page_runs_max - blob.runs.size());
    if (!runs) {
      return fragmented(spec);
    }
    const Status cleared = clear_pages(stage, *runs);
    if (!cleared) {
      return cleared;
    }
    directory.extend(blob, *runs);
    if (blob.runs.size() > format::page_runs_max) { // One hole that is not directly behind it.
      return Error{ErrorKind::no_space,
                   fmt::format("blob {}: it is in as many pieces as a blob can be", spec.name),
                   "take its content out with `get`, `rm` it, and `register` it with that size"};
    }
  }
  blob.info.size_max_bytes = spec.size_max_bytes;
  BlobSpec kept = spec; // What a device says of itself now is not what wrote the bytes.
  kept.attributes = blob.info.attributes;
  return write_entry(stage, directory, blob, kept);
}

Result<std::uint64_t> take_entry(Directory& directory, Stage* stage) {
  if (const auto offset = directory.find_free_entry()) {
    return *offset;
  }
  const auto page = directory.find_free(1, 1);
  if (!page) {
    return Error{ErrorKind::no_space, "no page is left for the directory",
                 "make the image larger: `resize`"};
  }
  const std::uint32_t next = page->front().first_page;
  const std::uint64_t link = (std::uint64_t{directory.pages().back()} * block_size_bytes) +
                             offsetof(format::DirectoryPage, next_page);
  Status linked = clear_pages(stage, *page);
  if (linked) {
    linked = write_space(stage, link, std::as_bytes(std::span(&next, 1)));
  }
  if (!linked) {
    return linked.error();
  }
  directory.add_directory_page(next);
  return *directory.find_free_entry();
}

Status add_blob(Directory& directory, Stage* stage, const BlobSpec& spec) {
  const Result<std::uint64_t> entry_offset = take_entry(directory, stage);
  if (!entry_offset) {
    return entry_offset.error();
  }
  auto runs = directory.find_free(pages_for(spec.size_max_bytes), format::page_runs_max);
  if (!runs) {
    return fragmented(spec);
  }
  const Status cleared = clear_pages(stage, *runs);
  if (!cleared) {
    return cleared;
  }
  const std::uint64_t generation = stage == nullptr ? 0 : stage->generation();
  Blob blob;
  blob.info = {spec.name, spec.type,  spec.size_max_bytes, 0,
               0,         generation, spec.producer,       spec.attributes};
  blob.runs = std::move(*runs);
  blob.entry_offset_bytes = *entry_offset;
  blob.next_producer = spec.producer;
  directory.add(std::move(blob));
  return write_entry(stage, directory, *directory.find(spec.name), spec);
}

Status register_all(Directory& directory, Stage* stage, std::span<const BlobSpec> specs,
                    const format::Geometry& geometry) {
  for (const BlobSpec& spec : specs) {
    const Blob* blob = directory.find(spec.name);
    if (blob != nullptr && blob->info.type != spec.type) {
      return type_mismatch(*blob, spec);
    }
  }
  Status done = check_specs(specs, geometry);
  if (done) {
    done = check_space(directory, specs);
  }
  for (std::size_t i = 0; done && i < specs.size(); ++i) {
    const BlobSpec& spec = specs[i];
    Blob* blob = directory.find(spec.name);
    if (blob == nullptr) {
      done = add_blob(directory, stage, spec);
      continue;
    }
    blob->next_producer = spec.producer;
    if (spec.size_max_bytes > blob->info.size_max_bytes) {
      done = grow_blob(directory, stage, *blob, spec);
    }
  }
  return done;
}

Status fits_with_more_pages(Directory directory, std::uint32_t pages,
                            std::span<const BlobSpec> specs, const format::Geometry& geometry) {
  directory.grow(directory.page_count() + pages);
  return register_all(directory, nullptr, specs, geometry);
}

} // namespace

std::vector<BlobSpec> specs_of(std::span<const NewBlob> blobs) {
  std::vector<BlobSpec> specs;
  for (const NewBlob& blob : blobs) {
    specs.push_back(blob.spec);
  }
  return specs;
}

Status register_in(Directory& directory, Stage& stage, std::span<const BlobSpec> specs,
                   const format::Geometry& geometry) {
  return register_all(directory, &stage, specs, geometry);
}

// What is missing; or, if what is free is in too many pieces, all of it in one.
std::uint32_t pages_to_add(const Directory& directory, std::span<const BlobSpec> specs,
                           const format::Geometry& geometry) {
  const Status fits = fits_with_more_pages(directory, 0, specs, geometry);
  if (fits || fits.error().kind() != ErrorKind::no_space) {
    return 0;
  }
  const std::uint64_t pages = needs_of(directory, specs).pages;
  const std::uint64_t missing = pages - std::min<std::uint64_t>(pages, directory.free_page_count());
  for (const std::uint64_t more : std::array{missing, pages}) {
    const auto count = static_cast<std::uint32_t>(more);
    if (count > 0 && count == more && fits_with_more_pages(directory, count, specs, geometry)) {
      return count;
    }
  }
  return 0;
}

Status compare_with(const Directory& directory, std::span<const BlobSpec> specs) {
  for (const BlobSpec& spec : specs) {
    const Blob* blob = directory.find(spec.name);
    if (blob == nullptr) {
      return Error{ErrorKind::not_found, fmt::format("no blob {}", spec.name),
                   "register it: `register`"};
    }
    if (blob->info.type != spec.type) {
      return type_mismatch(*blob, spec);
    }
    if (blob->info.size_max_bytes < spec.size_max_bytes) {
      return Error{ErrorKind::too_large,
                   fmt::format("blob {}: its largest size is {} bytes, less than {}", spec.name,
                               blob->info.size_max_bytes, spec.size_max_bytes),
                   "register it with the larger size: `register`"};
    }
  }
  return {};
}

Status remove_from(Directory& directory, Stage& stage, std::string_view name) {
  const Blob* blob = directory.find(name);
  if (blob == nullptr) {
    return Error{ErrorKind::not_found, fmt::format("no blob {}", name), "`ls` shows what is there"};
  }
  // Free pages are zero, always: whoever gets them next must not see these bytes.
  for (const SpaceRange& range : blob->longest_ranges(0, blob->info.size_bytes)) {
    const Status zeroed = stage.zero_space(range.offset_bytes, range.length_bytes);
    if (!zeroed) {
      return zeroed;
    }
  }
  const Status cleared = stage.zero_space(blob->entry_offset_bytes, sizeof(DirectoryEntry));
  if (cleared) {
    directory.remove(name);
  }
  return cleared;
}

} // namespace vnvram
