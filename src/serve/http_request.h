// What a client of HTTP asks for.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace vnvram {

/// The first line of a request; all others are passed over.
struct HttpRequest {
  static constexpr std::size_t size_max_bytes = 8192;

  std::string method;
  std::string path; ///< Without what follows a question mark.
  /// It is none: `method` and `path` are empty.
  bool is_nonsense = false;
};

/// As soon as all of its head is there.
[[nodiscard]] std::optional<HttpRequest> parse_http_request(std::string_view received);

/// An answer, and the last one on its connection. `status`: "200 OK".
[[nodiscard]] std::string http_response(std::string_view status, std::string_view content_type,
                                        std::string_view body, bool with_body);

} // namespace vnvram
