// Between a vnvram-tpm that serves a machine and the one that takes its place.
#pragma once

#include <chrono>
#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "base/descriptor_passing.h"
#include "base/secret_bytes.h"
#include "base/unique_fd.h"
#include "vnvram/result.h"

namespace vnvram {

/// A SOCK_SEQPACKET socket between the two. First words, one after the other, each from the one
/// that the last was not from:
///
///   successor    ready    everything that can be done before is done
///   predecessor           (the TPM: its sockets, and what else it is)
///   successor    taken    all that can go wrong is over
///   predecessor  yours    from here on it answers nobody, and writes nothing, whatever comes
///   successor    mine     and from here on it does
///
/// The predecessor may say `back` at any time before `yours`: then it goes on itself. It does as
/// well if the successor goes before `mine`. If the predecessor goes without a word, the successor
/// goes on once it has taken the TPM: then nobody else can.
///
/// Threads: one.
class SuccessionChannel {
public:
  enum class Word : char { ready = 'r', taken = 't', yours = 'y', mine = 'm', back = 'b' };
  /// How long the two wait for each other. Whoever has started the successor is to be quicker.
  static constexpr std::chrono::seconds wait_max{60};

  explicit SuccessionChannel(UniqueFd socket) : socket_(std::move(socket)) {}

  [[nodiscard]] int fd() const { return socket_.get(); }
  /// Errors: io (the other one has gone, or takes nothing).
  Status say(Word word);
  /// Waits for that word. Errors: stale (`back` came in its stead), absent (the other one has gone
  /// with nothing more said), io (something else came, or nothing in time).
  Status hear(Word word);

  struct Passed {
    std::vector<UniqueFd> sockets;
    SecretBytes bytes;
  };
  /// The sockets stay the caller's, too. Errors: io.
  Status pass(std::span<const int> sockets, std::span<const std::byte> bytes);
  /// Waits for that. Errors: as hear(); too_large.
  Result<Passed> take();

private:
  Status send(std::string_view text, int descriptor);
  Result<PassedDescriptor> receive();

  UniqueFd socket_;
};

} // namespace vnvram
