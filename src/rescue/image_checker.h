// The judge: looks at every byte that matters of an image, however damaged. What it finds whole,
// every opener opens and writes to.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "format/header_copy.h"
#include "format/superblock_pair.h"
#include "store/directory.h"
#include "store/image_view.h"
#include "store/page_store.h"
#include "vnvram/store.h"

namespace vnvram {

/// One look. The parts that can be read are checked even if others cannot.
class ImageChecker {
public:
  using Progress = std::function<void(std::uint64_t done_bytes, std::uint64_t all_bytes)>;

  ImageChecker(BlockDevice& device, const format::SuperblockPair& superblocks, format::Codec codec,
               const Progress& progress);
  Result<CheckReport> run();

private:
  void check_superblocks();
  void check_third_copy();
  Status check_length();
  void check_counters();
  Status check_header_area(format::HeaderPart part, const std::string& place);
  Status check_ring();
  void check_directory();
  void check_blobs();
  void check_pages_of_nobody();
  void note_replaced_home(std::uint32_t page);
  void add_page_problems();
  [[nodiscard]] std::vector<std::string> all_blobs() const;
  /// Names that the directory may have held, for a directory that cannot be read.
  std::vector<std::string> listed_unchecked();

  BlockDevice& device_;
  const format::SuperblockPair superblocks_;
  const Progress& progress_;
  const format::Superblock superblock_;
  const format::Codec codec_;
  PageStore pages_;
  Directory directory_;
  ImageView view_;
  CheckReport report_;
  std::map<std::uint32_t, Error> bad_leaves_; ///< Of zones of nobody, by their first page.
  bool cut_off_ = false;
  bool ring_damaged_ = false;
  std::string ring_reason_;
};

} // namespace vnvram
