// Exports as images.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "backup/blob_spool.h"
#include "backup/export_manifest.h"
#include "vnvram/key.h"
#include "vnvram/open_device.h"

namespace vnvram {

/// Where an export goes.
struct ExportTarget {
  std::string path;             ///< See create_image_file().
  std::uint64_t size_bytes = 0; ///< 0: as `vnvram create` would have it.
  DeviceOptions device = {};    ///< The format and the key of what is made there.
  bool force = false;           ///< Write over what is there.
  /// Who can open it; without them it is plain.
  std::vector<NewKeySlot> key_slots = {};
  /// An encrypted image is copied to a plain one only by who says so.
  bool decrypt = false;
  /// Called now and then while it is written in full.
  std::function<void(std::uint64_t done_bytes, std::uint64_t all_bytes)> progress = {};
};

/// What was made.
struct ExportReport {
  ExportManifest manifest;
  std::uint64_t written_count = 0; ///< Blobs that are in it.
  std::uint64_t written_bytes = 0; ///< Their contents.
};

/// Makes an image of what the spool has of the manifest's blobs, and the manifest. An increment is
/// sealed: who starts a machine from it alone would find a part of its state only. Errors: those of
/// create_image_file(); invalid_argument (it would not be encrypted, and the source is).
Result<ExportReport> write_export(const ExportManifest& manifest, const BlobSpool& spool,
                                  const ExportTarget& target);

} // namespace vnvram
