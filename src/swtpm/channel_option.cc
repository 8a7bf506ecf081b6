#include "swtpm/channel_option.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <limits>
#include <system_error>

#include <fmt/core.h>

#include "swtpm/option_list.h"

namespace vnvram {
namespace {

constexpr std::size_t path_max_bytes = sizeof(sockaddr_un::sun_path) - 1;
constexpr long port_max = std::numeric_limits<std::uint16_t>::max();

constexpr std::array control_keys = {
    OptionKey{"type"},
    OptionKey{"path"},
    OptionKey{"port", OptionKind::integer},
    OptionKey{"bindaddr"},
    OptionKey{"ifname"},
    OptionKey{"fd", OptionKind::integer},
    OptionKey{"clientfd", OptionKind::integer},
    OptionKey{"mode", OptionKind::mode},
    OptionKey{"uid", OptionKind::user},
    OptionKey{"gid", OptionKind::group},
    OptionKey{"terminate", OptionKind::flag},
};

constexpr std::array server_keys = {
    OptionKey{"type"},
    OptionKey{"path"},
    OptionKey{"port", OptionKind::integer},
    OptionKey{"bindaddr"},
    OptionKey{"ifname"},
    OptionKey{"fd", OptionKind::integer},
    OptionKey{"disconnect", OptionKind::flag},
    OptionKey{"mode", OptionKind::mode},
    OptionKey{"uid", OptionKind::user},
    OptionKey{"gid", OptionKind::group},
};

Status check_socket(int descriptor, std::string_view what) {
  struct stat status {};
  if (::fstat(descriptor, &status) != 0 || !S_ISSOCK(status.st_mode)) {
    return option_error(fmt::format("Bad filedescriptor {} for {}", descriptor, what),
                        "it has to be an open socket");
  }
  return {};
}

Result<UnixSocketPlace> unix_place(const OptionList& list) {
  UnixSocketPlace place;
  place.path = *list.text("path");
  if (place.path.size() > path_max_bytes) {
    return option_error("Path for UnixIO socket is too long",
                        fmt::format("it may have {} bytes", path_max_bytes));
  }
  place.mode = static_cast<mode_t>(list.number("mode").value_or(place.mode));
  if (const auto user = list.number("uid")) {
    place.user = static_cast<uid_t>(*user);
  }
  if (const auto group = list.number("gid")) {
    place.group = static_cast<gid_t>(*group);
  }
  return place;
}

Result<TcpPlace> tcp_place(const OptionList& list, long port) {
  TcpPlace place;
  place.port = static_cast<std::uint16_t>(port);
  place.address = list.text("bindaddr").value_or(place.address);
  place.interface_name = list.text("ifname").value_or("");
  in_addr ipv4{};
  in6_addr ipv6{};
  const bool is_ipv6 = ::inet_pton(AF_INET6, place.address.c_str(), &ipv6) == 1;
  if (!is_ipv6 && ::inet_pton(AF_INET, place.address.c_str(), &ipv4) != 1) {
    return option_error(fmt::format("Could not parse the bind address '{}'", place.address),
                        "write an IPv4 or an IPv6 address; names are not looked up");
  }
  if (is_ipv6 && IN6_IS_ADDR_LINKLOCAL(&ipv6) && place.interface_name.empty()) {
    return option_error("Missing interface name for link local address", "give ifname=");
  }
  return place;
}

// One place, whichever kind it is, in a channel.
template <typename Channel, typename Place>
Result<Channel> channel_at(Channel channel, const Result<Place>& place) {
  if (!place.ok()) {
    return place.error();
  }
  channel.place = *place;
  return channel;
}

template <typename Place, typename Channel>
Result<Channel> channel_on(Channel channel, int descriptor, std::string_view what) {
  if (Status checked = check_socket(descriptor, what); !checked.ok()) {
    return checked.error();
  }
  channel.place = Place{descriptor};
  return channel;
}

Result<ControlChannel> unix_control(const OptionList& list, const ControlChannel& channel) {
  if (const auto descriptor = list.descriptor("fd")) {
    return channel_on<ListeningDescriptor>(channel, *descriptor, "UnixIO control channel");
  }
  if (const auto descriptor = list.descriptor("clientfd")) {
    return channel_on<OpenDescriptor>(channel, *descriptor, "UnixIO client control channel");
  }
  if (!list.text("path")) {
    return option_error("Missing path and fd options for UnixIO control channel",
                        "give path=, fd= or clientfd=");
  }
  return channel_at(channel, unix_place(list));
}

Result<ControlChannel> tcp_control(const OptionList& list, const ControlChannel& channel) {
  if (const auto descriptor = list.descriptor("fd")) {
    return channel_on<ListeningDescriptor>(channel, *descriptor, "TCP control channel");
  }
  const long port = list.number("port").value_or(-1);
  if (port < 0) {
    return option_error("Missing port and fd options for TCP control channel", "give port= or fd=");
  }
  if (port > port_max) {
    return option_error("TCP control channel port outside valid range",
                        "write a number up to 65535");
  }
  return channel_at(channel, tcp_place(list, port));
}

Result<DataChannel> unix_server(const OptionList& list, const DataChannel& channel) {
  if (const auto descriptor = list.descriptor("fd")) {
    return channel_on<ListeningDescriptor>(channel, *descriptor, "UnixIO socket");
  }
  if (!list.text("path")) {
    return option_error("Missing path and file descriptor option for UnixIO socket",
                        "give path= or fd=");
  }
  return channel_at(channel, unix_place(list));
}

Result<DataChannel> tcp_server(const OptionList& list, const DataChannel& channel,
                               std::optional<std::uint16_t> given_port) {
  if (const auto descriptor = list.descriptor("fd")) { // Unlike a unix socket's: one client's.
    return channel_on<OpenDescriptor>(channel, *descriptor, "TCP socket");
  }
  const long port = list.number("port").value_or(given_port ? *given_port : -1);
  if (port < 0) {
    return option_error("No valid port number provided for TCP socket.",
                        "give port= or fd=, or set TPM_PORT");
  }
  if (port > port_max) {
    return option_error("TCP socket port outside valid range", "write a number up to 65535");
  }
  return channel_at(channel, tcp_place(list, port));
}

// As strtoul() with all of the text.
std::optional<unsigned long> read_unsigned(const std::string& text, int base) {
  char* end = nullptr;
  errno = 0;
  const unsigned long number = std::strtoul(text.c_str(), &end, base);
  const bool is_read = end != text.c_str() && *end == '\0' && errno == 0 && number <= UINT_MAX;
  return is_read ? std::optional(number) : std::nullopt;
}

} // namespace

Result<ControlChannel> parse_control_channel(std::string_view text) {
  const Result<OptionList> list = OptionList::parse("ctrl", text, control_keys);
  if (!list.ok()) {
    return list.error();
  }
  const auto type = list->text("type");
  if (!type) {
    return option_error("Missing type parameter for control channel",
                        "give type=unixio or type=tcp");
  }
  ControlChannel channel;
  channel.terminates = list->flag("terminate");
  if (*type == "unixio") {
    return unix_control(*list, channel);
  }
  if (*type == "tcp") {
    return tcp_control(*list, channel);
  }
  return option_error("Unsupported control channel type: " + *type, "give type=unixio or type=tcp");
}

Result<DataChannel> parse_server_channel(std::string_view text, std::optional<std::uint16_t> port) {
  const Result<OptionList> list = OptionList::parse("server", text, server_keys);
  if (!list.ok()) {
    return list.error();
  }
  const std::string type = list->text("type").value_or("tcp");
  DataChannel channel;
  channel.disconnects = list->flag("disconnect");
  if (type == "unixio") {
    return unix_server(*list, channel);
  }
  if (type == "tcp") {
    return tcp_server(*list, channel, port);
  }
  return option_error("Unsupported socket type: " + type, "give type=tcp or type=unixio");
}

Result<DataChannel> parse_open_channel(std::string_view what, const std::string& text) {
  const std::optional<unsigned long> number = read_unsigned(text, 10);
  if (!number || *number > INT_MAX) {
    return option_error(fmt::format("Cannot parse {} file descriptor.", what),
                        "write a descriptor's number");
  }
  const int descriptor = static_cast<int>(*number);
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) {
    return option_error("Cannot stat file descriptor: " + std::system_category().message(errno));
  }
  if (S_ISREG(status.st_mode) || S_ISDIR(status.st_mode) || S_ISBLK(status.st_mode)) {
    return option_error("Given file descriptor type is not supported.",
                        "it has to be a socket or a character device");
  }
  if (descriptor <= 2) {
    return option_error("Error: Cannot accept file descriptors with values 0, 1, or 2");
  }
  DataChannel channel;
  channel.place = OpenDescriptor{descriptor};
  return channel;
}

Result<std::uint16_t> parse_port(const std::string& text) {
  const std::optional<unsigned long> port = read_unsigned(text, 0);
  if (!port) {
    return option_error(fmt::format("Cannot parse socket port number '{}'.", text));
  }
  if (*port > static_cast<unsigned long>(port_max)) {
    return option_error("Port is outside valid range.", "write a number up to 65535");
  }
  return static_cast<std::uint16_t>(*port);
}

} // namespace vnvram
