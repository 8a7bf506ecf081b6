#include "swtpm/tpm_state_option.h"

#include <array>
#include <utility>

#include "swtpm/option_list.h"

namespace vnvram {
namespace {

constexpr std::array state_keys = {
    OptionKey{"dir"},
    OptionKey{"mode", OptionKind::mode},
    OptionKey{"backend-uri"},
    OptionKey{"lock", OptionKind::flag},
    OptionKey{"backup", OptionKind::flag},
    OptionKey{"fsync", OptionKind::flag},
};

struct UriScheme {
  std::string_view prefix;
  TpmStateOption::Kind kind;
};

constexpr std::array uri_schemes = {
    UriScheme{"dir://", TpmStateOption::Kind::folder},
    UriScheme{"file://", TpmStateOption::Kind::file},
    UriScheme{"vnvram:", TpmStateOption::Kind::location},
};

Status set_uri(TpmStateOption& state, std::string_view uri) {
  for (const UriScheme& scheme : uri_schemes) {
    if (uri.starts_with(scheme.prefix) && uri.size() > scheme.prefix.size()) {
      state.kind = scheme.kind;
      state.path = uri.substr(scheme.prefix.size());
      return {};
    }
  }
  return option_error("Unsupported backend URI '" + std::string(uri) + "' for the tpmstate option",
                      "write dir://FOLDER, file://FILE or vnvram:LOCATION");
}

} // namespace

Result<TpmStateOption> parse_tpm_state(std::string_view text) {
  const Result<OptionList> list = OptionList::parse("tpmstate", text, state_keys);
  if (!list.ok()) {
    return list.error();
  }
  TpmStateOption state;
  const auto folder = list->text("dir");
  const auto uri = list->text("backend-uri");
  if (folder && uri) {
    return option_error("The tpmstate option has both dir and backend-uri",
                        "give one of them: the state is in one place");
  }
  if (folder) {
    state.path = *folder;
  } else if (!uri) {
    return option_error("The dir or backend-uri parameters is required for the tpmstate option.");
  } else if (Status set = set_uri(state, *uri); !set.ok()) {
    return set.error();
  }
  if (const auto mode = list->number("mode")) {
    state.mode = static_cast<mode_t>(*mode);
  }
  state.locks = list->flag("lock", state.kind != TpmStateOption::Kind::file);
  state.backup = list->flag("backup");
  state.syncs = list->flag("fsync");
  return state;
}

TpmStateOption tpm_state_in(std::string folder) {
  TpmStateOption state;
  state.path = std::move(folder);
  return state;
}

} // namespace vnvram
