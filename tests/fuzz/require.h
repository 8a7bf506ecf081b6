// What a fuzz target claims. A claim that does not hold ends the process, which is a finding.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>

namespace vnvram::fuzz {

inline void require(bool holds, const std::string& claim) {
  if (!holds) {
    std::fprintf(stderr, "fuzz: this does not hold: %s\n", claim.c_str());
    std::abort();
  }
}

} // namespace vnvram::fuzz
