#include "base/operator_text.h"

#include <algorithm>
#include <array>

namespace vnvram {
namespace {

constexpr std::array<std::string_view, 26> operations = {
    "create",  "register",     "ls",      "info", "get",    "put",    "rm",
    "check",   "repair",       "salvage", "dump", "size",   "resize", "seal",
    "unseal",  "import-swtpm", "key",     "meta", "erase",  "anchor", "encrypt",
    "decrypt", "takeover",     "export",  "move", "release"};

// What a program says to make or change something, whatever is there; a command has it as an
// option.
constexpr std::string_view force = "force";

/// What else may be in backquotes is somebody's name for a file.
bool is_operation(std::string_view quoted) {
  const std::string_view word = quoted.substr(0, quoted.find(' '));
  return std::find(operations.begin(), operations.end(), word) != operations.end();
}

} // namespace

std::string with_commands(std::string_view remedy) {
  std::string text;
  while (!remedy.empty()) {
    const std::size_t begin = remedy.find('`');
    const std::size_t end = begin == remedy.npos ? remedy.npos : remedy.find('`', begin + 1);
    if (end == remedy.npos) {
      break;
    }
    const std::string_view quoted = remedy.substr(begin + 1, end - begin - 1);
    text += remedy.substr(0, begin);
    if (quoted == force) {
      text += "--force";
    } else if (is_operation(quoted)) {
      text += "vnvram ";
      text += quoted;
    } else {
      text += remedy.substr(begin, end + 1 - begin);
    }
    remedy.remove_prefix(end + 1);
  }
  return text += remedy;
}

Error for_operators(const Error& error) {
  return {error.kind(), error.cause(), with_commands(error.remedy())};
}

std::string operator_text(const Error& error) {
  return for_operators(error).text();
}

} // namespace vnvram
