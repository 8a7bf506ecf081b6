// One generation of everything that an image holds, beside the changes that go on.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "backup/blob_source.h"
#include "backup/blob_spool.h"
#include "backup/export_manifest.h"

namespace vnvram {

/// Reads every blob while others go on changing them, then again what has changed since, and so on;
/// the rest, which gets smaller, comes with the list of one moment. If it does not get small
/// enough, changes are held for as long as it takes to read it.
///
/// The source is not believed: what contradicts itself, or is what no image could have, is an error
/// of kind corrupt.
class Capture {
public:
  using Progress = std::function<void(std::uint64_t done_bytes, std::uint64_t all_bytes)>;

  /// `who`: the source, in messages. `since`: only what changed after that generation goes to the
  /// spool; of the rest the digest is taken. All outlive it.
  Capture(BlobSource& source, std::string who, std::optional<std::uint64_t> since, BlobSpool& spool,
          Progress progress)
      : source_(source), who_(std::move(who)), since_(since), spool_(spool),
        progress_(std::move(progress)) {}

  /// Once. Errors: those of the source and the spool; type_mismatch (a blob has the name of a
  /// manifest); in_use (it changes faster than it can be read).
  Result<ExportManifest> run();

private:
  /// The next moment, checked.
  Result<Moment> ask(std::uint64_t after, std::uint64_t content_max_bytes);
  [[nodiscard]] Status leave_out_manifest(Moment& moment) const;
  Status take_all(const Moment& moment, std::optional<std::uint64_t> after);
  Status take(const BlobInfo& blob);
  Status take_rest(const Moment& moment, std::uint64_t after);
  Status keep(const BlobInfo& blob, std::span<const std::byte> content);
  void forget_removed(const Moment& moment);
  Result<Moment> follow(Moment moment);
  Result<ExportManifest> manifest_of(const Moment& moment) const;

  BlobSource& source_;
  const std::string who_;
  const std::optional<std::uint64_t> since_;
  BlobSpool& spool_;
  const Progress progress_;
  std::map<std::string, ExportedBlob> taken_;
  std::optional<Uuid> uuid_;
  std::uint64_t generation_ = 0; ///< Of the last moment.
  std::uint64_t done_bytes_ = 0;
  std::uint64_t all_bytes_ = 0;
};

} // namespace vnvram
