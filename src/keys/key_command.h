// A command of the operator's that makes a key of what is public: a key service's client, clevis,
// systemd-creds.
#pragma once

#include <chrono>
#include <span>
#include <string>

#include "base/secret_bytes.h"
#include "vnvram/result.h"

namespace vnvram {

inline constexpr std::chrono::seconds key_command_time_limit{60};

/// Runs `command` by /bin/sh -c with `input` as its standard input; its standard error is ours, and
/// it gets no other descriptors of ours. What it writes to its standard output, to its end, if it
/// ends with 0. Errors: io (it fails, or has not ended in time, when it is killed),
/// invalid_argument (it writes more than `output_max_bytes`).
Result<SecretBytes> run_key_command(const std::string& command, std::span<const std::byte> input,
                                    std::size_t output_max_bytes,
                                    std::chrono::milliseconds time_limit = key_command_time_limit);

} // namespace vnvram
