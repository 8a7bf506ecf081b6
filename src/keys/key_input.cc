#include "keys/key_input.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <system_error>
#include <utility>

#include <fmt/core.h>

#include "base/unique_fd.h"

namespace vnvram {
namespace {

Error input_error(const std::string& name, std::string_view what, int error) {
  return {ErrorKind::io,
          fmt::format("{}: {}: {}", name, what, std::generic_category().message(error))};
}

std::optional<int> parse_descriptor(std::string_view digits) {
  int descriptor = -1;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), descriptor);
  return error == std::errc() && end == digits.data() + digits.size() && descriptor >= 0
             ? std::optional(descriptor)
             : std::nullopt;
}

// Into memory of one size, so that no copy is left behind where it grew. Where that is possible it
// is read without moving to its end: another process may have the same descriptor.
Result<SecretBytes> read_to_end(int descriptor, const std::string& name, std::size_t max_bytes) {
  SecretBytes buffer{std::vector<std::byte>(max_bytes + 1)};
  std::vector<std::byte> bytes = buffer.release();
  const bool has_places = ::lseek(descriptor, 0, SEEK_CUR) >= 0;
  std::size_t size_bytes = 0;
  int error = 0;
  for (ssize_t count = 1; count != 0 && size_bytes < bytes.size() && error == 0;) {
    const std::size_t room_bytes = bytes.size() - size_bytes;
    count = has_places ? ::pread(descriptor, &bytes[size_bytes], room_bytes,
                                 static_cast<off_t>(size_bytes))
                       : ::read(descriptor, &bytes[size_bytes], room_bytes);
    if (count > 0) {
      size_bytes += static_cast<std::size_t>(count);
    } else if (count < 0 && errno != EINTR) {
      error = errno;
    }
  }
  buffer = SecretBytes(std::move(bytes));
  if (error != 0) {
    return input_error(name, "cannot be read", error);
  }
  if (size_bytes > max_bytes) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("{}: there are more than {} bytes", name, max_bytes));
  }
  SecretBytes secret(std::span<const std::byte>(buffer.get()).first(size_bytes));
  secret.lock();
  return secret;
}

Result<UniqueFd> open_input(const std::string& path) {
  UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  return file.valid() ? Result<UniqueFd>(std::move(file))
                      : input_error(path, "cannot be opened", errno);
}

} // namespace

std::optional<KeyInput> parse_key_input(std::string_view text) {
  constexpr std::string_view file = "file:";
  constexpr std::string_view open = "fd:";
  constexpr std::string_view remove = ",remove";
  if (text.starts_with(file)) {
    const bool removes = text.ends_with(remove);
    text.remove_prefix(file.size());
    text.remove_suffix(removes && text.size() >= remove.size() ? remove.size() : 0);
    return text.empty() ? std::nullopt
                        : std::optional(KeyInput{
                              .path = std::string(text), .descriptor = -1, .remove = removes});
  }
  const auto descriptor =
      text.starts_with(open) ? parse_descriptor(text.substr(open.size())) : std::nullopt;
  return descriptor
             ? std::optional(KeyInput{.path = {}, .descriptor = *descriptor, .remove = false})
             : std::nullopt;
}

std::string KeyInput::name() const {
  return path.empty() ? fmt::format("descriptor {}", descriptor) : path;
}

Result<SecretBytes> read_secret(const KeyInput& input, std::size_t max_bytes) {
  if (input.path.empty()) {
    return read_to_end(input.descriptor, input.name(), max_bytes);
  }
  const Result<UniqueFd> file = open_input(input.path);
  if (!file) {
    return file.error();
  }
  Result<SecretBytes> bytes = read_to_end(file->get(), input.name(), max_bytes);
  if (bytes && input.remove && ::unlink(input.path.c_str()) != 0) {
    return input_error(input.path, "was read, and cannot be removed", errno);
  }
  return bytes;
}

Result<std::vector<std::byte>> read_public_file(const std::string& path, std::size_t max_bytes) {
  Result<SecretBytes> bytes =
      read_secret({.path = path, .descriptor = -1, .remove = false}, max_bytes);
  return bytes ? Result<std::vector<std::byte>>(bytes->release()) : bytes.error();
}

} // namespace vnvram
