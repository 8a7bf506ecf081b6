#include "service/session_offer.h"

#include <charconv>

#include <fmt/core.h>

namespace vnvram {
namespace {

// The next word, which is taken away.
std::string_view take_word(std::string_view& line) {
  const auto end = line.find(' ');
  const std::string_view word = line.substr(0, end);
  line = end == std::string_view::npos ? std::string_view() : line.substr(end + 1);
  return word;
}

template <typename Number> bool parse_number(std::string_view text, Number& number) {
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  return parsed.ec == std::errc() && parsed.ptr == text.data() + text.size();
}

bool parse_line(std::string_view line, SessionOffer& offer) {
  const std::string_view what = take_word(line);
  if (what == "device") {
    offer.device = line;
    return true;
  }
  if (what == "pid") {
    return parse_number(line, offer.pid);
  }
  if (what == "uid") {
    return parse_number(line, offer.uid.emplace());
  }
  if (what == "except") {
    offer.except_endings.emplace_back(line);
    return true;
  }
  if (what != "blob" && what != "prefix") {
    return false;
  }
  const std::string_view may = take_word(line);
  offer.rights.push_back({.name = std::string(line),
                          .is_prefix = what == "prefix",
                          .writes = may.find('w') != std::string_view::npos,
                          .registers = may.find('r') != std::string_view::npos});
  return true;
}

} // namespace

std::string SessionOffer::text() const {
  std::string lines = fmt::format("device {}\npid {}\n", device, pid);
  if (uid) {
    lines += fmt::format("uid {}\n", *uid);
  }
  for (const Right& right : rights) {
    lines += fmt::format("{} -{}{} {}\n", right.is_prefix ? "prefix" : "blob",
                         right.writes ? "w" : "", right.registers ? "r" : "", right.name);
  }
  for (const std::string& ending : except_endings) {
    lines += fmt::format("except {}\n", ending);
  }
  return lines;
}

Result<SessionOffer> SessionOffer::parse(std::string_view text) {
  SessionOffer offer;
  while (!text.empty()) {
    const auto end = text.find('\n');
    if (!parse_line(text.substr(0, end), offer)) {
      return Error(ErrorKind::invalid_argument, "a session is offered in words that are not known");
    }
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  }
  return offer;
}

} // namespace vnvram
