// The process that is killed: it commits as fast as it can, and reports on a pipe.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "soak/soak_workload.h"

namespace vnvram::test {

/// What the client says, each in one write of this size, so that no two mix.
struct SoakReport {
  enum class Kind : std::uint32_t {
    opening,      ///< About to open the store.
    opened,       ///< `generation` is what it found.
    submitting,   ///< About to carry out an operation.
    acknowledged, ///< It has succeeded. Before the thread submits the next.
    closing,      ///< Asked to end by SIGTERM; all operations are acknowledged.
    closed,
    failed, ///< Something returned an error; the client has said on stderr which.
  };
  Kind kind = Kind::failed;
  std::uint32_t thread = 0;
  std::uint64_t number = 0;
  std::uint64_t generation = 0;
};

struct SoakClientOptions {
  std::string image;
  std::uint64_t seed = 0;
  std::array<std::uint64_t, soak_thread_count> first_numbers{};
  int report_fd = -1;
};

/// Runs until it is killed, or asked to end by SIGTERM. Returns the exit code.
int run_soak_client(const SoakClientOptions& options);

} // namespace vnvram::test
