#include "cli/output.h"

#include <cerrno>
#include <nlohmann/json.hpp>
#include <system_error>
#include <unistd.h>

namespace vnvram::cli {

void Output::write_bytes(std::span<const std::byte> bytes) {
  while (!bytes.empty() && error_number_ == 0) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written >= 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(written));
    } else if (errno != EINTR) {
      error_number_ = errno;
    }
  }
}

void Output::write_text(std::string_view text) {
  write_bytes(std::as_bytes(std::span(text)));
}

void Output::write_json(const nlohmann::ordered_json& json) {
  // All that is not ASCII is escaped, and so is DEL: an image must not steer a terminal.
  write_text(json.dump(2, ' ', true, nlohmann::ordered_json::error_handler_t::replace) + '\n');
}

void Output::write_json_line(const nlohmann::ordered_json& json) {
  write_text(json.dump(-1, ' ', true, nlohmann::ordered_json::error_handler_t::replace) + '\n');
}

Status Output::finish() {
  if (::close(descriptor_) != 0 && error_number_ == 0) {
    error_number_ = errno;
  }
  if (error_number_ == 0) {
    return {};
  }
  return Error(ErrorKind::io, "cannot write to standard output: " +
                                  std::generic_category().message(error_number_));
}

} // namespace vnvram::cli
