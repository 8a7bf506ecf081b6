#include "crash/replay_id.h"

#include <regex>

#include <fmt/core.h>

namespace vnvram::test {

std::string CutPoint::text() const {
  return fmt::format("{}{}{}{}", operation, after ? "+" : "", kind == Kind::power_cut ? "c" : "d",
                     choice.text());
}

std::string ReplayId::text() const {
  std::string text = fmt::format("{}/{}", scenario, seed);
  for (const CutPoint& cut : cuts) {
    text += '/';
    text += cut.text();
  }
  return text;
}

std::optional<ReplayId> ReplayId::parse(const std::string& text) {
  static const std::regex whole(R"(([a-z-]+)/(\d{1,18})((?:/\d{1,18}\+?[cd]\d{1,18}t?)*))");
  static const std::regex one(R"(/(\d+)(\+?)([cd])(\d+)(t?))");
  std::smatch parts;
  if (!std::regex_match(text, parts, whole)) {
    return std::nullopt;
  }
  ReplayId id{.scenario = parts[1], .seed = std::stoull(parts[2]), .cuts = {}};
  const std::string cuts = parts[3];
  for (std::sregex_iterator cut(cuts.begin(), cuts.end(), one), end; cut != end; ++cut) {
    id.cuts.push_back(
        {.operation = std::stoull((*cut)[1]),
         .after = (*cut)[2].length() != 0,
         .kind = (*cut)[3] == "c" ? CutPoint::Kind::power_cut : CutPoint::Kind::process_death,
         .choice = {.number = std::stoull((*cut)[4]), .torn = (*cut)[5].length() != 0}});
  }
  return id;
}

} // namespace vnvram::test
