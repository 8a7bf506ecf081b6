#include "convert/stored_bytes.h"

#include <algorithm>
#include <cerrno>
#include <system_error>

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/unique_fd.h"

namespace vnvram {
namespace {

Error cannot_read(const std::string& path) {
  return {ErrorKind::io,
          fmt::format("{}: cannot be read: {}", path, std::generic_category().message(errno))};
}

} // namespace

Result<std::vector<std::byte>> read_stored_bytes(int descriptor, const std::string& path,
                                                 std::uint64_t offset_bytes,
                                                 std::size_t length_bytes) {
  std::vector<std::byte> bytes(length_bytes);
  std::size_t done_bytes = 0;
  while (done_bytes < bytes.size()) {
    const ssize_t count = ::pread(descriptor, &bytes[done_bytes], bytes.size() - done_bytes,
                                  static_cast<off_t>(offset_bytes + done_bytes));
    if (count < 0 && errno != EINTR) {
      return cannot_read(path);
    }
    if (count == 0) {
      break;
    }
    done_bytes += count < 0 ? 0 : static_cast<std::size_t>(count);
  }
  bytes.resize(done_bytes);
  return bytes;
}

Result<std::vector<std::byte>> read_stored_file(const Folder& folder, const std::string& name,
                                                std::size_t max_bytes) {
  const std::string path = folder.path_of(name);
  const UniqueFd file = folder.open_file(name, O_RDONLY | O_NOCTTY | O_NONBLOCK);
  struct stat status {};
  if (!file.valid() || ::fstat(file.get(), &status) != 0) {
    return cannot_read(path);
  }
  const auto size_bytes = static_cast<std::uint64_t>(status.st_size);
  if (!S_ISREG(status.st_mode) || size_bytes > max_bytes) {
    return Error(ErrorKind::corrupt,
                 fmt::format("{}: not a file of at most {} bytes", path, max_bytes));
  }
  return read_stored_bytes(file.get(), path, 0, static_cast<std::size_t>(size_bytes));
}

bool write_stored_bytes(int descriptor, std::span<const std::byte> bytes,
                        std::uint64_t offset_bytes) {
  while (!bytes.empty()) {
    const ssize_t written =
        ::pwrite(descriptor, bytes.data(), bytes.size(), static_cast<off_t>(offset_bytes));
    if (written < 0 && errno != EINTR) {
      return false;
    }
    const auto done_bytes = static_cast<std::size_t>(std::max<ssize_t>(written, 0));
    bytes = bytes.subspan(done_bytes);
    offset_bytes += done_bytes;
  }
  return true;
}

} // namespace vnvram
