#include "owner/named_server.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>

namespace vnvram {
namespace {

bool is_numeric(const std::string& host) {
  std::array<unsigned char, sizeof(in6_addr)> address{};
  return ::inet_pton(AF_INET, host.c_str(), address.data()) == 1 ||
         ::inet_pton(AF_INET6, host.substr(0, host.find('%')).c_str(), address.data()) == 1;
}

} // namespace

bool is_named_server(std::string_view location) {
  constexpr std::array<std::string_view, 2> schemes = {"nbd://", "nbds://"};
  const auto* scheme = std::ranges::find_if(
      schemes, [&](std::string_view each) { return location.starts_with(each); });
  if (scheme == schemes.end()) {
    return false;
  }
  std::string_view host = location.substr(scheme->size());
  host = host.substr(0, host.find_first_of("/?#"));
  if (const std::size_t user = host.rfind('@'); user != std::string_view::npos) {
    host.remove_prefix(user + 1);
  }
  host =
      host.starts_with('[') ? host.substr(1, host.find(']') - 1) : host.substr(0, host.find(':'));
  return !is_numeric(std::string(host));
}

Error named_server_error(const std::string& location) {
  return {ErrorKind::invalid_argument,
          location + " with --shared: the server is found by a name, and when the image is opened "
                     "again nobody may ask for names any more",
          "write its address, e.g. nbd://192.0.2.1/NAME"};
}

} // namespace vnvram
