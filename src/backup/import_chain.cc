#include "backup/import_chain.h"

#include <optional>

#include <fmt/core.h>

#include "backup/link_check.h"
#include "backup/opened_part.h"
#include "vnvram/store.h"

namespace vnvram {
namespace {

bool is_what_it_says(const BlobInfo& is, const ExportedBlob& said) {
  return is.type == said.info.type && is.size_max_bytes == said.info.size_max_bytes &&
         is.size_bytes == said.info.size_bytes && is.producer == said.info.producer &&
         is.attributes == said.info.attributes;
}

class Chain {
public:
  Chain(const DeviceOptions& device, const KeyRing& keys, BlobSpool& spool)
      : device_(device), keys_(keys), spool_(spool) {}

  Status add(const std::string& part) {
    Result<std::unique_ptr<Store>> store = open_to_copy(part, device_, keys_);
    if (!store) {
      return store.error();
    }
    Result<ExportManifest> manifest = read_manifest(part, **store);
    if (!manifest) {
      return manifest.error();
    }
    if (Status follows = check_place(part, *manifest, **store); !follows) {
      return follows;
    }
    if (Status taken = take_blobs(part, *manifest, **store); !taken) {
      return taken;
    }
    forget_removed(*manifest);
    last_name_ = part;
    is_encrypted_ = is_encrypted_ || (*store)->info().encrypted;
    last_ = *std::move(manifest);
    return {};
  }

  /// As if all of it had been exported at once.
  [[nodiscard]] ExportManifest take_manifest() {
    last_->since.reset();
    last_->encrypted = is_encrypted_;
    return *std::move(last_);
  }

private:
  [[nodiscard]] Status check_place(const std::string& part, const ExportManifest& manifest,
                                   const Store& store) const {
    const auto carries = [&](std::string_view blob) { return store.blob(blob).ok(); };
    if (last_) {
      return check_link({last_name_, *last_}, {part, manifest}, carries);
    }
    if (manifest.since) {
      return Error(ErrorKind::invalid_argument,
                   fmt::format("{}: an increment, of what changed after generation {}", part,
                               *manifest.since),
                   "begin with a full export");
    }
    for (const ExportedBlob& blob : manifest.blobs) {
      if (!carries(blob.info.name)) {
        return Error(ErrorKind::corrupt,
                     fmt::format("{}: blob {} is missing: it is not what was exported", part,
                                 blob.info.name),
                     "use another copy of this export");
      }
    }
    return {};
  }

  Status take_blobs(const std::string& part, const ExportManifest& manifest, Store& store) {
    for (const BlobInfo& blob : store.blobs()) {
      if (blob.name == manifest_blob_name) {
        continue;
      }
      const ExportedBlob* said = manifest.find(blob.name);
      const Result<std::vector<std::byte>> content = store.read(blob.name);
      if (!content) {
        return content.error();
      }
      if (said == nullptr || !is_what_it_says(blob, *said) || digest_of(*content) != said->digest) {
        return Error(ErrorKind::corrupt,
                     fmt::format("{}: blob {} is not what was exported: damaged, or changed since",
                                 part, blob.name),
                     "use another copy of this export");
      }
      if (Status put = spool_.put(blob.name, *content); !put) {
        return put;
      }
    }
    return {};
  }

  void forget_removed(const ExportManifest& manifest) {
    for (const ExportedBlob& blob : last_ ? last_->blobs : std::vector<ExportedBlob>()) {
      if (manifest.find(blob.info.name) == nullptr) {
        spool_.drop(blob.info.name);
      }
    }
  }

  const DeviceOptions& device_;
  const KeyRing& keys_;
  BlobSpool& spool_;
  bool is_encrypted_ = false;
  std::string last_name_;
  std::optional<ExportManifest> last_;
};

} // namespace

Result<ExportReport> import_chain(std::span<const std::string> parts, const DeviceOptions& device,
                                  const KeyRing& keys, const ExportTarget& target) {
  if (parts.empty()) {
    return Error(ErrorKind::invalid_argument, "there is nothing to put together");
  }
  Result<BlobSpool> spool = BlobSpool::make(target.path, !target.key_slots.empty());
  if (!spool) {
    return spool.error();
  }
  Chain chain(device, keys, *spool);
  for (const std::string& part : parts) {
    if (Status added = chain.add(part); !added) {
      return added.error();
    }
  }
  return write_export(chain.take_manifest(), *spool, target);
}

} // namespace vnvram
