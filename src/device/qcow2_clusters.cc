#include "device/qcow2_clusters.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>

#include <endian.h>
#include <fmt/core.h>

#include "base/unique_fd.h"

namespace vnvram {
namespace {

// docs/interop/qcow2.rst of QEMU. Numbers are big-endian.
constexpr std::uint32_t magic = 0x514649fb;
constexpr std::size_t cluster_bits_at = 20;
constexpr std::size_t level_1_entry_count_at = 36;
constexpr std::size_t level_1_table_at = 40;
constexpr std::size_t incompatible_features_at = 72;
constexpr std::size_t header_bytes = 80;
constexpr std::uint64_t feature_subclusters = std::uint64_t{1} << 4U;
constexpr std::uint64_t flag_owned = std::uint64_t{1} << 63U; ///< "Copied": nobody else has it.
constexpr std::uint64_t flag_compressed = std::uint64_t{1} << 62U;
constexpr std::uint64_t offset_mask = 0x00fffffffffffe00;
constexpr std::uint32_t cluster_bits_min = 9;
constexpr std::uint32_t cluster_bits_max = 21;

/// The tables of one image.
class Tables {
public:
  Tables(int fd, const std::string& path) : fd_(fd), path_(path) {}

  Status read_header();
  Result<std::vector<ByteRange>> borrowed(const ByteRange& part) const;

private:
  /// Big-endian numbers of 8 bytes.
  Status read_numbers(std::uint64_t offset_bytes, std::vector<std::uint64_t>& numbers) const;

  const int fd_;
  const std::string& path_;
  std::uint64_t cluster_size_bytes_ = 0;
  std::uint64_t level_1_entry_count_ = 0;
  std::uint64_t level_1_offset_bytes_ = 0;
  std::size_t numbers_per_entry_ = 1;
};

Status Tables::read_numbers(std::uint64_t offset_bytes, std::vector<std::uint64_t>& numbers) const {
  const std::size_t size_bytes = numbers.size() * sizeof(std::uint64_t);
  const ssize_t count = ::pread(fd_, numbers.data(), size_bytes, static_cast<off_t>(offset_bytes));
  if (count != static_cast<ssize_t>(size_bytes)) {
    return Error(ErrorKind::io,
                 fmt::format("{}: cannot read the tables of a qcow2 image: {}", path_,
                             count < 0 ? std::generic_category().message(errno)
                                       : std::string("they are cut short")));
  }
  std::transform(numbers.begin(), numbers.end(), numbers.begin(),
                 [](std::uint64_t number) { return be64toh(number); });
  return {};
}

Status Tables::read_header() {
  std::vector<std::uint64_t> header(header_bytes / sizeof(std::uint64_t));
  if (const Status got = read_numbers(0, header); !got) {
    return got;
  }
  const auto long_at = [&](std::size_t at) { return header.at(at / 8); };
  const auto short_at = [&](std::size_t at) {
    return static_cast<std::uint32_t>(at % 8 == 0 ? long_at(at) >> 32U : long_at(at));
  };
  const std::uint32_t version = short_at(4);
  const std::uint32_t cluster_bits = short_at(cluster_bits_at);
  if (short_at(0) != magic || version < 2 || version > 3 || cluster_bits < cluster_bits_min ||
      cluster_bits > cluster_bits_max) {
    return Error(ErrorKind::unsupported, fmt::format("{}: its header is no qcow2 image's", path_));
  }
  cluster_size_bytes_ = std::uint64_t{1} << cluster_bits;
  level_1_entry_count_ = short_at(level_1_entry_count_at);
  level_1_offset_bytes_ = long_at(level_1_table_at);
  const bool has_subclusters =
      version == 3 && (long_at(incompatible_features_at) & feature_subclusters) != 0;
  numbers_per_entry_ = has_subclusters ? 2 : 1;
  return {};
}

void append(std::vector<ByteRange>& ranges, std::uint64_t begin, std::uint64_t end) {
  if (begin >= end) {
    return;
  }
  if (!ranges.empty() && ranges.back().end_bytes() == begin) {
    ranges.back().length_bytes += end - begin;
  } else {
    ranges.push_back({begin, end - begin});
  }
}

bool is_owned(std::uint64_t entry) {
  return (entry & flag_owned) != 0 && (entry & flag_compressed) == 0 && (entry & offset_mask) != 0;
}

Result<std::vector<ByteRange>> Tables::borrowed(const ByteRange& part) const {
  const std::uint64_t entries_per_table =
      cluster_size_bytes_ / (sizeof(std::uint64_t) * numbers_per_entry_);
  const std::uint64_t table_reach_bytes = entries_per_table * cluster_size_bytes_;
  const std::uint64_t table_count = (part.end_bytes() + table_reach_bytes - 1) / table_reach_bytes;
  std::vector<std::uint64_t> level_1(std::min(table_count, level_1_entry_count_));
  if (const Status got = read_numbers(level_1_offset_bytes_, level_1); !got) {
    return got.error();
  }
  std::vector<ByteRange> ranges;
  for (std::uint64_t index = part.offset_bytes / table_reach_bytes; index < level_1.size();
       ++index) {
    const std::uint64_t table_begin = index * table_reach_bytes;
    const std::uint64_t begin = std::max(table_begin, part.offset_bytes);
    const std::uint64_t end = std::min(table_begin + table_reach_bytes, part.end_bytes());
    if ((level_1[index] & offset_mask) == 0 || (level_1[index] & flag_owned) == 0) {
      append(ranges, begin, end); // Its table is missing, or a snapshot's as well.
      continue;
    }
    std::vector<std::uint64_t> level_2(entries_per_table * numbers_per_entry_);
    if (const Status got = read_numbers(level_1[index] & offset_mask, level_2); !got) {
      return got.error();
    }
    for (std::uint64_t at = begin; at < end;) {
      const std::uint64_t cluster = (at - table_begin) / cluster_size_bytes_;
      const std::uint64_t next = std::min(table_begin + ((cluster + 1) * cluster_size_bytes_), end);
      append(ranges, at, is_owned(level_2[cluster * numbers_per_entry_]) ? at : next);
      at = next;
    }
  }
  return ranges;
}

} // namespace

Result<std::vector<ByteRange>> find_borrowed_clusters(const QemuFile& file, const ByteRange& part) {
  const UniqueFd fd = file.open(O_RDONLY);
  if (!fd.valid()) {
    return Error(ErrorKind::io, fmt::format("{}: cannot open: {}", file.name(),
                                            std::generic_category().message(errno)));
  }
  Tables tables(fd.get(), file.name());
  const Status header = tables.read_header();
  return header ? tables.borrowed(part) : header.error();
}

} // namespace vnvram
