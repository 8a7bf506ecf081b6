// Options that may be given several times.
#pragma once

#include <CLI/App.hpp>

namespace vnvram::cli {

/// Takes one value each time, and all of them count. By itself CLI11 takes what stands behind that
/// value, too, up to the next option: IMAGE.
inline CLI::Option* repeated(CLI::Option* option) {
  return option->expected(1)->take_all()->allow_extra_args(false);
}

} // namespace vnvram::cli
