#include "serve/http_request.h"

#include <fmt/core.h>

namespace vnvram {

std::optional<HttpRequest> parse_http_request(std::string_view received) {
  const bool has_head = received.find("\r\n\r\n") != std::string_view::npos ||
                        received.find("\n\n") != std::string_view::npos;
  if (!has_head) {
    return std::nullopt;
  }
  std::string_view line = received.substr(0, received.find('\n'));
  if (line.ends_with('\r')) {
    line.remove_suffix(1);
  }
  const std::size_t method_end = line.find(' ');
  const std::size_t path_end = line.rfind(' ');
  if (method_end == std::string_view::npos || path_end == method_end ||
      !line.substr(path_end + 1).starts_with("HTTP/1.")) {
    return HttpRequest{.method = "", .path = "", .is_nonsense = true};
  }
  const std::string_view target = line.substr(method_end + 1, path_end - method_end - 1);
  return HttpRequest{.method = std::string(line.substr(0, method_end)),
                     .path = std::string(target.substr(0, target.find('?'))),
                     .is_nonsense = false};
}

std::string http_response(std::string_view status, std::string_view content_type,
                          std::string_view body, bool with_body) {
  return fmt::format("HTTP/1.1 {}\r\n"
                     "Content-Type: {}\r\n"
                     "Content-Length: {}\r\n"
                     "Connection: close\r\n\r\n{}",
                     status, content_type, body.size(), with_body ? body : "");
}

} // namespace vnvram
