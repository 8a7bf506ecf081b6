#include "swtpm/program_setup.h"

#include <filesystem>
#include <utility>
#include <variant>

#include "convert/swtpm_key_option.h"
#include "device/location.h"
#include "swtpm/file_place.h"
#include "swtpm/folder_place.h"
#include "tpm/location_place.h"

namespace vnvram {
namespace {

using Kind = TpmStateOption::Kind;

std::string absolute(const std::string& path) {
  std::error_code failed;
  const std::filesystem::path made = std::filesystem::absolute(path, failed);
  return failed ? path : made.string();
}

Status read_key(const std::optional<std::string>& text, std::shared_ptr<const SwtpmKey>& key) {
  if (!text) {
    return {};
  }
  const Result<SwtpmKeyOption> option = SwtpmKeyOption::parse(*text);
  if (!option.ok()) {
    return option.error();
  }
  Result<SwtpmKey> read = option->read();
  if (!read.ok()) {
    return read.error();
  }
  key = std::make_shared<const SwtpmKey>(*std::move(read));
  return {};
}

} // namespace

Result<ProgramSetup> ProgramSetup::make(const SwtpmOptions& options) {
  ProgramSetup setup(options);
  Status read = read_key(options.key, setup.state_key_);
  read = read.ok() ? read_key(options.migration_key, setup.migration_key_) : read;
  if (!read.ok()) {
    return read.error();
  }
  if (setup.state_key_) {
    Result<KeySource> source =
        KeySource::of_key(setup.state_key_->bytes(), "the key that --key names");
    if (!source.ok()) {
      return source.error();
    }
    setup.image_key_ = *std::move(source);
  }
  if (auto& state = setup.options_.state;
      state && (state->kind != Kind::location || scheme_of(state->path) == LocationScheme::path)) {
    state->path = absolute(state->path);
  }
  if (auto& pid = setup.options_.pid; pid && !pid->file.empty()) {
    pid->file = absolute(pid->file);
  }
  return setup;
}

KeyRing ProgramSetup::image_keys() const {
  KeyRing keys;
  if (image_key_) {
    keys.add(*image_key_);
  }
  return keys;
}

bool ProgramSetup::has_owner() const {
  return options_.state && options_.state->kind == Kind::location &&
         scheme_of(options_.state->path) == LocationScheme::owner;
}

bool ProgramSetup::may_need_programs() const {
  return options_.state && options_.state->kind == Kind::location && !has_owner();
}

Options ProgramSetup::tpm_options() const {
  Options options;
  options.image = options_.state ? options_.state->path : std::string();
  // No program is started for what somebody has put in a state's place.
  options.image_format = may_need_programs() || has_owner() ? "" : "raw";
  options.version = options_.version;
  options.detached = !has_owner();
  options.on_demand = options.detached;
  options.seals = false;           // Managers do not say when a machine comes back.
  options.accepts_unclosed = true; // Nor that they have shut out the host where it was.
  options.shuts_down = options_.flags.shuts_down;
  options.seccomp = Seccomp::off; // To what is confined files can still be opened.
  options.keys = image_keys();
  return options;
}

std::unique_ptr<ImagePlace> ProgramSetup::make_place(SoftTpm& tpm, const Log& log) const {
  if (!options_.state || has_owner()) {
    return nullptr;
  }
  PlaceSetup setup{
      .recipe = TpmImageRecipe(options_.version, image_key_),
      .key = state_key_,
      .check_states = [&tpm](const TpmStates& states) { return tpm.check_states(states); },
      .log = log};
  const TpmStateOption& state = *options_.state;
  switch (state.kind) {
  case Kind::folder: return std::make_unique<FolderPlace>(state.path, state.mode, std::move(setup));
  case Kind::file: return std::make_unique<FilePlace>(state.path, state.mode, std::move(setup));
  case Kind::location: break;
  }
  return std::make_unique<LocationPlace>(state.path);
}

} // namespace vnvram
