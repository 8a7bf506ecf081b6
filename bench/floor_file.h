// The floor: what one durable 4 KiB write to a preallocated file costs on the same disk. No store
// can make a commit durable for less.
#pragma once

#include <cstdint>
#include <string>

#include "base/aligned_buffer.h"
#include "base/unique_fd.h"

namespace vnvram::bench {

class FloorFile {
public:
  /// A file of that size, every block of it written; it goes when the object goes. Writes run
  /// around it in a circle, as records run around a ring.
  FloorFile(const std::string& directory, std::uint64_t size_bytes);
  ~FloorFile();
  FloorFile(const FloorFile&) = delete;
  FloorFile& operator=(const FloorFile&) = delete;

  void write_buffered() { write(buffered_.get()); }
  /// The same as buffered where the file system has no direct I/O.
  void write_direct() { write(direct_.valid() ? direct_.get() : buffered_.get()); }

private:
  void write(int fd);

  std::string path_;
  std::uint64_t size_bytes_;
  std::uint64_t offset_bytes_ = 0;
  std::uint64_t count_ = 0;
  UniqueFd buffered_;
  UniqueFd direct_;
  AlignedBuffer block_;
};

} // namespace vnvram::bench
