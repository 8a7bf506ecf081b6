// A device that a command opens or makes: what there is to know of it goes to standard error.
#pragma once

#include <string>

#include "base/plain_text.h"
#include "cli/input.h"
#include "vnvram/open_device.h"

namespace vnvram::cli {

[[nodiscard]] inline DeviceOptions noted_device() {
  DeviceOptions options;
  options.note = [](const std::string& text) { show_note(plain_text(text)); };
  return options;
}

} // namespace vnvram::cli
