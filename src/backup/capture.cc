#include "backup/capture.h"

#include <algorithm>
#include <memory>
#include <vector>

#include <fmt/core.h>

#include "backup/opened_part.h"

namespace vnvram {
namespace {

// Changes wait while a part is read.
constexpr std::uint64_t part_max_bytes = std::uint64_t{1} << 20U;
// How much may be left for the last moment, in the first round; twice as much in each one after it.
constexpr std::uint64_t rest_min_bytes = std::uint64_t{256} << 10U;
constexpr unsigned free_rounds = 6;
constexpr unsigned rounds_max = 10;

class LettingGo {
public:
  explicit LettingGo(BlobSource& source) : source_(source) {}
  LettingGo(const LettingGo&) = delete;
  LettingGo& operator=(const LettingGo&) = delete;
  ~LettingGo() { source_.let_go(); }

private:
  BlobSource& source_;
};

bool is_same_version(const BlobInfo& one, const BlobInfo& other) {
  return one.generation == other.generation &&
         one.registered_generation == other.registered_generation && one.type == other.type &&
         one.size_bytes == other.size_bytes;
}

} // namespace

Result<ExportManifest> Capture::run() {
  Result<Moment> moment = ask(UINT64_MAX, 0);
  if (!moment) {
    return moment.error();
  }
  for (const BlobInfo& blob : moment->blobs) {
    all_bytes_ += blob.size_bytes;
  }
  if (Status taken = take_all(*moment, std::nullopt); !taken) {
    return taken.error();
  }
  const LettingGo at_the_end(source_);
  moment = follow(*std::move(moment));
  return moment ? manifest_of(*moment) : moment.error();
}

// Until there is nothing that has changed since.
Result<Moment> Capture::follow(Moment moment) {
  std::uint64_t rest_max_bytes = rest_min_bytes;
  for (unsigned round = 1; round <= rounds_max; ++round) {
    const std::uint64_t seen = moment.state.generation;
    if (round > free_rounds) {
      if (Status held = source_.hold(); !held) {
        return held.error();
      }
    }
    Result<Moment> next = ask(seen, rest_max_bytes);
    if (!next) {
      return next;
    }
    forget_removed(*next);
    const Status taken = next->complete ? take_rest(*next, seen) : take_all(*next, seen);
    if (!taken) {
      return taken.error();
    }
    if (next->complete) {
      return next;
    }
    moment = *std::move(next);
    rest_max_bytes = std::min(2 * rest_max_bytes, moment_content_max_bytes);
  }
  return Error(ErrorKind::in_use, who_ + ": its blobs change faster than they can be read",
               "try again when the machine is less busy");
}

Result<Moment> Capture::ask(std::uint64_t after, std::uint64_t content_max_bytes) {
  Result<Moment> moment = source_.changes(after, content_max_bytes);
  if (!moment) {
    return moment;
  }
  Status right = check_blobs(who_, moment->blobs);
  for (const BlobInfo& blob : moment->blobs) {
    if (right && std::max(blob.generation, blob.registered_generation) > moment->state.generation) {
      right = Error(
          ErrorKind::corrupt,
          fmt::format("{}: blob {} is of a generation that it does not have yet", who_, blob.name));
    }
  }
  if (right && (moment->state.uuid != uuid_.value_or(moment->state.uuid) ||
                moment->state.generation < generation_)) {
    right = Error(ErrorKind::stale, who_ + ": another state was put in its place meanwhile",
                  "export it again");
  }
  if (!right) {
    return right.error();
  }
  uuid_ = moment->state.uuid;
  generation_ = moment->state.generation;
  if (Status left_out = leave_out_manifest(*moment); !left_out) {
    return left_out.error();
  }
  return moment;
}

// An export's own is no part of another one.
Status Capture::leave_out_manifest(Moment& moment) const {
  const auto found = std::ranges::find(moment.blobs, manifest_blob_name, &BlobInfo::name);
  if (found == moment.blobs.end()) {
    return {};
  }
  const Result<bool> manifest = is_manifest(who_, *found);
  if (manifest && *manifest) {
    moment.blobs.erase(found);
  }
  return manifest ? Status() : manifest.error();
}

Status Capture::take_all(const Moment& moment, std::optional<std::uint64_t> after) {
  for (const BlobInfo& blob : moment.blobs) {
    if (after && !is_newer(blob, *after)) {
      continue;
    }
    if (Status taken = take(blob); !taken) {
      return taken;
    }
  }
  return {};
}

// In parts, each of another moment: they fit together if the blob is not among those that have
// changed when the next list comes.
Status Capture::take(const BlobInfo& blob) {
  taken_.erase(blob.name);
  std::vector<std::byte> content(blob.size_bytes);
  for (std::uint64_t at = 0; at < content.size(); at += part_max_bytes) {
    const auto part = std::span(content).subspan(at, std::min(part_max_bytes, content.size() - at));
    const Status read = source_.read(blob.name, at, part);
    if (!read && (read.error().kind() == ErrorKind::not_found ||
                  read.error().kind() == ErrorKind::too_large)) {
      return {}; // It was removed, and then the next list says so.
    }
    if (!read) {
      return read;
    }
    done_bytes_ += part.size();
    if (progress_) {
      progress_(std::min(done_bytes_, all_bytes_), all_bytes_);
    }
  }
  return keep(blob, content);
}

Status Capture::take_rest(const Moment& moment, std::uint64_t after) {
  for (const BlobInfo& blob : moment.blobs) {
    if (!is_newer(blob, after)) {
      continue;
    }
    const auto content = moment.contents.find(blob.name);
    if (content == moment.contents.end() || content->second.size() != blob.size_bytes) {
      return Error(ErrorKind::corrupt,
                   fmt::format("{}: blob {}: not as many bytes as its size says", who_, blob.name));
    }
    if (Status kept = keep(blob, content->second); !kept) {
      return kept;
    }
  }
  return {};
}

Status Capture::keep(const BlobInfo& blob, std::span<const std::byte> content) {
  taken_[blob.name] = {.info = blob, .digest = digest_of(content)};
  if (since_ && !is_newer(blob, *since_)) {
    return {};
  }
  return spool_.put(blob.name, content);
}

void Capture::forget_removed(const Moment& moment) {
  for (auto each = taken_.begin(); each != taken_.end();) {
    const bool there = std::ranges::binary_search(moment.blobs, each->first, {}, &BlobInfo::name);
    if (!there) {
      spool_.drop(each->first);
    }
    each = there ? std::next(each) : taken_.erase(each);
  }
}

Result<ExportManifest> Capture::manifest_of(const Moment& moment) const {
  ExportManifest manifest{.uuid = moment.state.uuid,
                          .generation = moment.state.generation,
                          .since = since_,
                          .sealed = moment.state.sealed,
                          .encrypted = moment.state.encrypted,
                          .blobs = {}};
  for (const BlobInfo& blob : moment.blobs) {
    const auto taken = taken_.find(blob.name);
    if (taken == taken_.end() || !is_same_version(taken->second.info, blob)) {
      return Error(
          ErrorKind::corrupt,
          fmt::format("{}: blob {} is another one, and should not have changed", who_, blob.name));
    }
    manifest.blobs.push_back({.info = blob, .digest = taken->second.digest});
  }
  return manifest;
}

} // namespace vnvram
