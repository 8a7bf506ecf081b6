// The command line of vnvram-tpm.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "base/exit_code.h"
#include "service/listener.h"
#include "service/log.h"
#include "service/sandbox.h"
#include "service/socket_address.h"
#include "soft_tpm/soft_tpm.h"
#include "soft_tpm/tpm_blobs.h"
#include "vnvram/anchor.h"
#include "vnvram/key_ring.h"
#include "vnvram/space.h"
#include "vnvram/take_over.h"

namespace vnvram {

struct Options {
  std::string image;
  std::string image_name; ///< If it is another process's: what it is called in messages.
  std::string image_key_file;
  std::string image_format; ///< See DeviceOptions; empty: what the image's first bytes say.
  KeyRing keys;             ///< What opens an encrypted image.
  SpacePolicy space = SpacePolicy::reserve;
  std::uint64_t grow_max_bytes = 0; ///< See OpenOptions.
  std::string anchor;               ///< See open_anchor(); empty: none.
  std::optional<AnchorPolicy> anchor_policy;
  std::optional<SocketAddress> control;
  std::optional<SocketAddress> server;
  std::optional<SocketAddress> server_control; ///< Beside `server`.
  std::optional<SocketAddress> admin;
  bool detached = false;              ///< The image is not opened until the operator says so.
  bool incoming = false;              ///< A sealed image is accepted: QEMU is going to set a state.
  std::optional<OwnerWord> take_over; ///< See ImageKeeper::Opening.
  bool reservation = false;           ///< See ImageKeeper::Setup.
  bool accepts_unclosed = false;      ///< See OpenOptions::accept_unclosed.
  /// The other host of a migration sees the image as well, and goes on with it.
  bool shared = false;
  bool seals = true; ///< A state that QEMU has fetched is not committed until it is ours again.
  bool shuts_down = true; ///< A TPM whose power goes is shut down in its guest's stead.
  bool on_demand = false; ///< `detached`, until the TPM is powered on: see TpmStorage::use_place().
  std::optional<TpmVersion> version;
  std::string blobs_prefix; ///< Of an image's several TPMs, the one whose blobs begin so.
  Startup startup = Startup::none;
  std::string pid_file;
  SocketAccess socket_access;
  std::string user;
  Seccomp seccomp = Seccomp::on;
  LogLevel log_level = LogLevel::info;
  // Not for people: whoever has started this process has another one go on with the TPM that runs.
  int successors = -1;  ///< A socket over which those come to whom this one gives it.
  int predecessor = -1; ///< A socket to the one that this one takes it from.

  /// For messages.
  [[nodiscard]] const std::string& name() const { return image_name.empty() ? image : image_name; }
};

/// By getopt_long, and not by the library that the `vnvram` command uses: that one and the streams
/// that it needs cost a process that only waits 400 KB of memory.
///
/// The options, or the code to end with: help was asked for, or something is wrong with the command
/// line and has been said on stderr.
std::variant<Options, ExitCode> parse_options(int argument_count, char* const* arguments);

} // namespace vnvram
