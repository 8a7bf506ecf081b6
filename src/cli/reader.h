// Reading an image that someone else may be writing.
#pragma once

#include <CLI/App.hpp>
#include <cstdint>
#include <functional>
#include <string>

#include "cli/anchor_options.h"
#include "vnvram/store.h"

namespace vnvram::cli {

/// Carries an attempt out again, a bounded number of times, while it fails with ErrorKind::stale.
Status retry_while_stale(const std::function<Status()>& attempt);

/// Opens the image read-only and runs `use` on it. When the owner overtakes the reader
/// (ErrorKind::stale) it starts over with the newer state, so `use` must not have shown anything
/// before it fails.
Status read_image(const std::string& path, const DeviceOptions& device, const KeyRing& keys,
                  const std::function<Status(Store&)>& use);

/// The same for a command that is to write afterwards: who may not write hears of that, also where
/// it may not even read.
Status look_before_writing(const std::string& path, const DeviceOptions& device,
                           const KeyRing& keys, const std::function<Status(Store&)>& use);

/// Declares --space, whose value goes to open_for_writing().
void add_space_option(CLI::App& app, std::string& space);

/// Opens the image for writing, for one short piece of work. `space`: a policy's name; what it
/// warns of is said on standard error. `grow_max_bytes`: see OpenOptions.
Result<std::unique_ptr<Store>> open_for_writing(const std::string& path,
                                                const DeviceOptions& device, const KeyRing& keys,
                                                const std::string& space,
                                                const AnchorOptions& anchor,
                                                std::uint64_t grow_max_bytes = 0);

} // namespace vnvram::cli
