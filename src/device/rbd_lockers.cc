#include "device/rbd_lockers.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <string_view>

namespace vnvram {
namespace {

// librbd's own lock has one, and those of `rbd lock add --shared` are others'.
constexpr std::size_t text_max_bytes = 4096;

/// A word of those that end with a zero each, and which librbd writes one behind the other.
std::string_view take_word(std::string_view& text) {
  const std::string_view word = text.substr(0, text.find('\0'));
  text.remove_prefix(std::min(word.size() + 1, text.size()));
  return word;
}

} // namespace

int find_rbd_lockers(const RbdLibrary& library, rbd_image_t image, RbdLockers& found) {
  using Text = std::array<char, text_max_bytes>;
  Text tag{};
  Text clients{};
  Text cookies{};
  Text addresses{};
  std::size_t tag_size = tag.size();
  std::size_t clients_size = clients.size();
  std::size_t cookies_size = cookies.size();
  std::size_t addresses_size = addresses.size();
  int is_exclusive = 0;
  const ssize_t count = library.rbd_list_lockers(image, &is_exclusive, tag.data(), &tag_size,
                                                 clients.data(), &clients_size, cookies.data(),
                                                 &cookies_size, addresses.data(), &addresses_size);
  found = {};
  if (count < 0) {
    return count == -ENOENT ? 0 : static_cast<int>(count);
  }
  found.tag = tag.data();
  std::string_view who(clients.data(), clients.size());
  std::string_view where(addresses.data(), addresses.size());
  for (ssize_t number = 0; number < count; ++number) {
    found.lockers.push_back(
        {.client = std::string(take_word(who)), .address = std::string(take_word(where))});
  }
  return 0;
}

} // namespace vnvram
