// A trace: what a program did to one file, in order, and the file as it was before.
//
// A folder with `base`, a copy of the file, and `operations`: the 8 bytes of trace_magic, then for
// each operation a TraceOperation and, for writes, its bytes. Native byte order: a trace is
// replayed where it was recorded.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace vnvram::test {

inline constexpr std::array<char, 8> trace_magic = {'v', 'n', 'v', 't', 'r', 'c', '0', '1'};

enum class TraceKind : std::uint64_t { write = 1, write_durable = 2, flush = 3, resize = 4 };

struct TraceOperation {
  TraceKind kind = TraceKind::flush;
  std::uint64_t offset_bytes = 0;
  std::uint64_t length_bytes = 0; ///< resize: the new size.
};

/// The environment that tells the recorder (trace_recorder.cc) what to do.
inline constexpr const char* trace_file_variable = "VNVRAM_POWERCUT_FILE"; ///< What is recorded.
inline constexpr const char* trace_output_variable = "VNVRAM_POWERCUT_OPERATIONS";

struct Trace {
  struct Step {
    TraceOperation operation;
    std::vector<std::byte> bytes;
  };
  std::vector<std::byte> base;
  std::vector<Step> steps;

  /// Throws std::runtime_error with the reason. A last operation that was cut off is left out.
  static Trace load(const std::string& folder);
};

} // namespace vnvram::test
