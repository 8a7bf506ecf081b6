// What swtpm had in a place that is to hold an image now.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "convert/swtpm_key.h"
#include "convert/swtpm_state_file.h"
#include "convert/swtpm_store.h"
#include "service/log.h"
#include "swtpm/tpm_image_recipe.h"
#include "vnvram/result.h"

namespace vnvram {

/// How a place comes to an image where there is none yet.
struct PlaceSetup {
  TpmImageRecipe recipe;
  /// What swtpm's state there is encrypted with; none: it is not.
  std::shared_ptr<const SwtpmKey> key;
  /// Whether libtpms can start with these: asked before anything is written.
  std::function<Status(const TpmStates&)> check_states;
  const Log& log;
};

/// Overwrites a TPM's states, which somebody else holds, when it goes.
class StateWiper {
public:
  explicit StateWiper(TpmImageRecipe::Contents& states) : states_(states) {}
  StateWiper(const StateWiper&) = delete;
  StateWiper& operator=(const StateWiper&) = delete;
  ~StateWiper();

private:
  TpmImageRecipe::Contents& states_;
};

/// Unwrapped, and accepted by libtpms. `path` is for messages. Errors: those of
/// SwtpmStateFile::unwrap() and of the check.
Result<TpmImageRecipe::Contents> take_over_states(const SwtpmStateFiles& files,
                                                  const PlaceSetup& setup, const std::string& path);

} // namespace vnvram
