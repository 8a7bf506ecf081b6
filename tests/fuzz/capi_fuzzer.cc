// An input of this target: calls, see CapiSession::step().
#include <cstddef>
#include <cstdint>

#include "fuzz/capi_session.h"
#include "fuzz/fuzz_input.h"

namespace {

constexpr int steps_max = 100;

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size_bytes) {
  using namespace vnvram::fuzz;
  FuzzInput input(data, size_bytes);
  CapiSession session;
  for (int step = 0; step < steps_max && !input.empty(); ++step) {
    session.step(input);
  }
  return 0;
}
