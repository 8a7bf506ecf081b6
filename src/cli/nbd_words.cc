#include "cli/nbd_words.h"

#include <string_view>

namespace vnvram::cli {

Result<NbdWords> NbdWords::parse(const DeviceSocket& socket) {
  constexpr std::string_view exported = "export=";
  constexpr std::string_view read_only = "readonly=";
  NbdWords words;
  for (const std::string& word : socket.words) {
    if (word.starts_with(exported)) {
      words.exports.push_back(word.substr(exported.size()));
    } else if (word.starts_with(read_only)) {
      words.read_only.insert(word.substr(read_only.size()));
    } else {
      return Error(ErrorKind::invalid_argument, "--nbd " + socket.address.text() + "," + word,
                   "behind the address: export=NAME, readonly=NAME");
    }
  }
  return words;
}

} // namespace vnvram::cli
