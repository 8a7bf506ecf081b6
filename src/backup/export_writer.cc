#include "backup/export_writer.h"

#include <optional>
#include <utility>
#include <vector>

#include "vnvram/store.h"

namespace vnvram {
namespace {

std::vector<std::byte> bytes_of(const std::string& text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

NewBlob manifest_blob(const ExportManifest& manifest) {
  std::vector<std::byte> text = bytes_of(manifest_text(manifest));
  BlobSpec spec{.name = std::string(manifest_blob_name),
                .type = std::string(manifest_blob_type),
                .size_max_bytes = text.size(),
                .producer = "vnvram export"};
  return {.spec = std::move(spec), .content = std::move(text)};
}

} // namespace

Result<ExportReport> write_export(const ExportManifest& manifest, const BlobSpool& spool,
                                  const ExportTarget& target) {
  using Content = std::optional<std::vector<std::byte>>;
  if (manifest.encrypted && target.key_slots.empty() && !target.decrypt) {
    return Error(ErrorKind::invalid_argument,
                 target.path + ": it would not be encrypted, and what it is made of is",
                 "say who can open it (--new-key), or that everybody can (--decrypt)");
  }
  ExportReport report{.manifest = manifest};
  CreateOptions options;
  options.force = target.force;
  options.key_slots = target.key_slots;
  options.device = target.device;
  options.progress = target.progress;
  options.sealed = manifest.sealed || manifest.since.has_value();
  for (const ExportedBlob& blob : manifest.blobs) {
    if (spool.has(blob.info.name)) {
      options.blobs.push_back({.spec = blob.spec()});
      ++report.written_count;
      report.written_bytes += blob.info.size_bytes;
    }
  }
  options.blobs.push_back(manifest_blob(manifest));
  options.content_of = [&](const BlobSpec& spec) -> Result<Content> {
    const ExportedBlob* blob = manifest.find(spec.name);
    if (blob->info.generation == 0) {
      return Content(); // Never written.
    }
    Result<std::vector<std::byte>> content = spool.read(spec.name);
    return content ? Result<Content>(Content(*std::move(content))) : content.error();
  };
  const Status made = create_image_file(target.path, target.size_bytes, options);
  return made ? Result<ExportReport>(std::move(report)) : made.error();
}

} // namespace vnvram
