// An anchor in a file.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/unique_fd.h"
#include "device/file_name.h"
#include "vnvram/anchor.h"

namespace vnvram {

/// Two slots of a block each, written in turn: a line with a sequence, a checksum and the point,
/// and spaces up to the block's end. The valid slot with the higher sequence counts, so a write
/// that is cut off leaves the one before. The file is opened once and never replaced: whoever
/// writes it needs no right to open files any more, and its lock stays with it.
class FileAnchor : public Anchor {
public:
  static constexpr std::size_t slot_size_bytes = 4096;
  static constexpr std::size_t slot_count = 2;
  static constexpr std::size_t size_bytes = slot_count * slot_size_bytes;

  /// Of a file that is there or not. Errors: foreign, io.
  static Result<std::shared_ptr<FileAnchor>> open(const std::string& path);

  [[nodiscard]] std::string name() const override { return "anchor " + path_; }
  Status lock() override;
  void unlock() override;
  Result<std::optional<AnchorPoint>> read() override;
  Status write(const AnchorPoint& point) override;

private:
  using Slots = std::array<char, size_bytes>;
  struct Newest {
    std::uint64_t sequence = 0;
    std::size_t slot = 0;
    std::string text; ///< Of the point.
  };

  explicit FileAnchor(std::string path) : path_(std::move(path)) {}
  Status open_existing();
  /// With its first point, or not at all.
  Status create(const AnchorPoint& point);
  Status write_new_file(int fd, const AnchorPoint& point, const std::string& temporary);
  Result<std::optional<Newest>> find_newest();
  [[nodiscard]] Error failure(const std::string& what, int number) const;

  const std::string path_;
  UniqueFd fd_;                   ///< Not valid: there is no file.
  std::optional<FileName> named_; ///< With it.
  std::string read_only_because_; ///< Empty: it may be written.
  bool is_locked_ = false;
};

} // namespace vnvram
