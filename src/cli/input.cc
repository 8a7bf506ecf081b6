#include "cli/input.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <system_error>
#include <unistd.h>

#include <fmt/core.h>

#include "base/unique_fd.h"

namespace vnvram::cli {
namespace {

constexpr std::size_t chunk_size_bytes = std::size_t{64} << 10U;

Error read_failure(const std::string& name, int error_number) {
  return {ErrorKind::io,
          "cannot read " + name + ": " + std::generic_category().message(error_number)};
}

Error too_large(const std::string& path, std::uint64_t size_max_bytes) {
  return {ErrorKind::too_large,
          input_name(path) + " holds more than " + std::to_string(size_max_bytes) + " bytes",
          "the blob's largest size; `vnvram register` can raise it"};
}

Result<std::vector<std::byte>> read_from(int descriptor, const std::string& name,
                                         std::uint64_t size_max_bytes) {
  std::vector<std::byte> bytes;
  while (true) {
    const std::size_t size = bytes.size();
    const std::uint64_t wanted = std::min<std::uint64_t>(chunk_size_bytes, size_max_bytes - size);
    bytes.resize(size + static_cast<std::size_t>(wanted));
    const ssize_t got = ::read(descriptor, bytes.data() + size, static_cast<std::size_t>(wanted));
    if (got < 0 && errno != EINTR) {
      return read_failure(name, errno);
    }
    bytes.resize(size + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    if (got == 0 || bytes.size() == size_max_bytes) {
      return bytes;
    }
  }
}

} // namespace

std::string input_name(const std::string& path) {
  return path == "-" ? "standard input" : path;
}

Result<std::vector<std::byte>> read_at_most(const std::string& path, std::uint64_t size_max_bytes) {
  if (path == "-") {
    return read_from(STDIN_FILENO, input_name(path), size_max_bytes);
  }
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!file.valid()) {
    return read_failure(path, errno);
  }
  return read_from(file.get(), path, size_max_bytes);
}

Result<std::vector<std::byte>> read_input(const std::string& path, std::uint64_t size_max_bytes) {
  // One byte more than allowed tells a file that is too large from one that just fits.
  auto bytes = read_at_most(path, size_max_bytes + 1);
  if (bytes && bytes->size() > size_max_bytes) {
    return too_large(path, size_max_bytes);
  }
  return bytes;
}

Result<CheckedContent> read_content(const std::string& path, std::string_view type,
                                    std::uint64_t size_max_bytes, bool force) {
  auto bytes = read_input(path, content_source_max_bytes(type, size_max_bytes));
  if (!bytes) {
    return bytes.error();
  }
  auto checked = check_content(type, size_max_bytes, *bytes, input_name(path));
  if (checked) {
    show_note(checked->note);
    return checked;
  }
  const ErrorKind kind = checked.error().kind();
  if (!force || (kind != ErrorKind::invalid_argument && kind != ErrorKind::too_new)) {
    return checked;
  }
  if (bytes->size() > size_max_bytes) {
    return too_large(path, size_max_bytes);
  }
  return CheckedContent{.bytes = *std::move(bytes), .attributes = {}, .note = {}};
}

void show_note(const std::string& note) {
  if (!note.empty()) {
    std::fputs(fmt::format("vnvram: note: {}\n", note).c_str(), stderr);
  }
}

} // namespace vnvram::cli
