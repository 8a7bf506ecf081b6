#include "base/operator_text.h"

namespace vnvram {

std::string with_commands(std::string_view remedy) {
  constexpr std::string_view program = "vnvram ";
  std::string text;
  while (!remedy.empty()) {
    const std::size_t begin = remedy.find('`');
    const std::size_t end = begin == remedy.npos ? remedy.npos : remedy.find('`', begin + 1);
    if (end == remedy.npos) {
      break;
    }
    const std::string_view quoted = remedy.substr(begin + 1, end - begin - 1);
    text += remedy.substr(0, begin);
    if (quoted.starts_with(program)) { // A front end's own words.
      text += remedy.substr(begin, end + 1 - begin);
    } else {
      text += program;
      text += quoted;
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
