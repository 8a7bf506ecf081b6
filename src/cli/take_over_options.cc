#include "cli/take_over_options.h"

namespace vnvram::cli {

void add_owner_is_dead(CLI::App& app, bool& owner_is_dead) {
  app.add_flag("--owner-is-dead", owner_is_dead,
               "your word that whoever had the image has ended, or that its host has no power: "
               "where the storage cannot shut it out");
}

TakeOverOptions::TakeOverOptions(CLI::App& app) {
  CLI::Option* take_over =
      app.add_flag("--take-over", take_over_,
                   "shut out whoever has the image, and go on with it (see `vnvram takeover`); not "
                   "for a unit that is started again by itself");
  add_owner_is_dead(app, owner_is_dead_);
  app.get_option("--owner-is-dead")->needs(take_over);
}

std::optional<OwnerWord> TakeOverOptions::word() const {
  if (!take_over_) {
    return std::nullopt;
  }
  return owner_is_dead_ ? OwnerWord::is_dead : OwnerWord::nothing;
}

std::vector<std::string> TakeOverOptions::arguments() const {
  std::vector<std::string> words;
  if (take_over_) {
    words.emplace_back("--take-over");
  }
  if (owner_is_dead_) {
    words.emplace_back("--owner-is-dead");
  }
  return words;
}

} // namespace vnvram::cli
