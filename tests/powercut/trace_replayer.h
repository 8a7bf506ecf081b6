// Cuts the power at every operation of a trace and looks at what is left.
//
// Nothing is known of the program but its writes, so what is checked is what holds for any: once
// the image was durable for the first time, every cut leaves one that opens; its generation is
// never older than one that was durable before; its content is exactly what the program's image had
// at that generation; and check finds no damage.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "crash/store_state.h"
#include "powercut/trace.h"
#include "support/crash_state.h"

namespace vnvram::test {

struct TraceReport {
  std::uint64_t operations = 0;
  std::uint64_t images = 0;
  std::uint64_t generation = 0; ///< The last durable one.
  std::string failure;          ///< Empty: none. The first one only, with its replay id.
};

class TraceReplayer {
public:
  /// `images_per_operation`: all legal images are tried where there are no more, else so many
  /// seeded samples, half of them with sectors torn inside.
  TraceReplayer(Trace trace, std::uint64_t seed, std::uint64_t images_per_operation);

  /// Tries them all, or only `only`: "OPERATION:CHOICE", as a failure prints it.
  const TraceReport& run(const std::string& only = {});

private:
  void examine(const SimulatedOperation& operation);
  void try_image(const CrashState& state, std::uint64_t operation, CutChoice choice);
  /// What the content was at the generation that this image has; empty if it is none yet.
  void learn(const std::vector<std::byte>& image);
  std::string judge(const std::vector<std::byte>& image);
  void apply(const Trace::Step& step);

  Trace trace_;
  const std::uint64_t seed_;
  const std::uint64_t images_per_operation_;
  std::shared_ptr<SimulatedDisk> disk_;
  std::map<std::uint64_t, StoreState> states_; ///< By generation.
  std::optional<std::uint64_t> durable_generation_;
  std::string only_;
  TraceReport report_;
};

} // namespace vnvram::test
