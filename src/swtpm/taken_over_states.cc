#include "swtpm/taken_over_states.h"

#include <utility>

#include "base/secret_bytes.h"

namespace vnvram {

StateWiper::~StateWiper() {
  for (auto& state : states_) {
    if (state) {
      wipe_memory(*state);
    }
  }
}

Result<TpmImageRecipe::Contents>
take_over_states(const SwtpmStateFiles& files, const PlaceSetup& setup, const std::string& path) {
  TpmStates states(tpm_state_count);
  for (std::size_t state = 0; state < tpm_state_count; ++state) {
    if (!files.at(state)) {
      continue;
    }
    Result<SecretBytes> unwrapped = SwtpmStateFile::unwrap(*files.at(state), setup.key.get());
    if (!unwrapped.ok()) {
      return Error(
          unwrapped.error().kind(),
          path + ": swtpm's " +
              std::string(tpm_blob_name(setup.recipe.version(), static_cast<TpmState>(state))) +
              " state is not taken over: " + unwrapped.error().cause(),
          unwrapped.error().remedy());
    }
    states.at(state) = unwrapped->release();
  }
  if (const Status accepted = setup.check_states(states); !accepted.ok()) {
    return Error(accepted.error().kind(),
                 path + ": swtpm's state is not taken over: " + accepted.error().cause(),
                 "it is as it was; restore an older copy of it");
  }
  TpmImageRecipe::Contents contents;
  for (std::size_t state = 0; state < tpm_state_count; ++state) {
    if (!states.at(state).empty()) {
      contents.at(state) = std::move(states.at(state));
    }
  }
  return contents;
}

} // namespace vnvram
