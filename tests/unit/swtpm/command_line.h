// A command line as a caller of swtpm writes it.
#pragma once

#include <sstream>
#include <string>
#include <vector>

#include "swtpm/swtpm_options.h"

namespace vnvram::test {

/// Of `words`, which have no spaces in them.
inline SwtpmCommandLine parse_line(const std::string& words) {
  std::istringstream stream("swtpm " + words);
  std::vector<std::string> texts;
  for (std::string text; stream >> text;) {
    texts.push_back(text);
  }
  std::vector<char*> arguments;
  for (std::string& text : texts) {
    arguments.push_back(text.data());
  }
  const int count = static_cast<int>(arguments.size());
  arguments.push_back(nullptr);
  return parse_swtpm_options(count, arguments.data());
}

} // namespace vnvram::test
