#include "swtpm/run_option.h"

#include <array>
#include <string>
#include <utility>

#include "swtpm/option_list.h"

namespace vnvram {
namespace {

constexpr std::array flags_keys = {
    OptionKey{"not-need-init", OptionKind::flag},
    OptionKey{"startup-none", OptionKind::flag},
    OptionKey{"startup-clear", OptionKind::flag},
    OptionKey{"startup-state", OptionKind::flag},
    OptionKey{"startup-deactivated", OptionKind::flag},
    OptionKey{"disable-auto-shutdown", OptionKind::flag},
};

// Of several the first one in this order counts.
constexpr std::array startups = {
    std::pair{"startup-clear", Startup::clear},
    std::pair{"startup-state", Startup::state},
    std::pair{"startup-deactivated", Startup::deactivated},
};

constexpr std::array locality_keys = {
    OptionKey{"reject-locality-4", OptionKind::flag},
    OptionKey{"allow-set-locality", OptionKind::flag},
};

constexpr std::array migration_keys = {
    OptionKey{"incoming", OptionKind::flag},
    OptionKey{"release-lock-outgoing", OptionKind::flag},
};

constexpr std::array seccomp_keys = {
    OptionKey{"action"},
};

constexpr std::array seccomp_actions = {
    std::pair{"kill", Seccomp::on},
    std::pair{"log", Seccomp::log},
    std::pair{"none", Seccomp::off},
};

} // namespace

Result<FlagsOption> parse_flags(std::string_view text) {
  const Result<OptionList> list = OptionList::parse("flags", text, flags_keys);
  if (!list.ok()) {
    return list.error();
  }
  FlagsOption flags;
  for (const auto& [name, startup] : startups) {
    if (flags.startup == Startup::none && list->flag(name)) {
      flags.startup = startup;
    }
  }
  flags.needs_init = !list->flag("not-need-init") && flags.startup == Startup::none;
  flags.shuts_down = !list->flag("disable-auto-shutdown");
  return flags;
}

Result<LocalityOption> parse_locality(std::string_view text) {
  const Result<OptionList> list = OptionList::parse("locality", text, locality_keys);
  if (!list.ok()) {
    return list.error();
  }
  return LocalityOption{.rejects_locality_4 = list->flag("reject-locality-4"),
                        .allows_set_locality = list->flag("allow-set-locality")};
}

Result<MigrationOption> parse_migration(std::string_view text) {
  const Result<OptionList> list = OptionList::parse("migration", text, migration_keys);
  if (!list.ok()) {
    return list.error();
  }
  return MigrationOption{.incoming = list->flag("incoming"),
                         .releases_lock = list->flag("release-lock-outgoing")};
}

Result<Seccomp> parse_seccomp(std::string_view text) {
  const Result<OptionList> list = OptionList::parse("seccomp", text, seccomp_keys);
  if (!list.ok()) {
    return list.error();
  }
  const std::string action = list->text("action").value_or("kill");
  for (const auto& [name, seccomp] : seccomp_actions) {
    if (action == name) {
      return seccomp;
    }
  }
  return option_error("Unsupported seccomp log action " + action,
                      "give action=kill, action=log or action=none");
}

} // namespace vnvram
