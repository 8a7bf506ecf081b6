// What the soak's client writes, so that its parent can compare every byte: each operation follows
// from (seed, thread, number) alone. A thread has blobs of its own, and one operation at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "vnvram/store.h"

namespace vnvram::test {

inline constexpr unsigned soak_thread_count = 4;

struct SoakOperation {
  enum class Kind { updates, register_blob, remove_blob, checkpoint };
  struct Update {
    std::string blob;
    Transaction::Action action = Transaction::Action::write;
    std::uint64_t offset_bytes = 0; ///< set_size: the new size.
    std::vector<std::byte> bytes;
  };
  Kind kind = Kind::updates;
  std::vector<Update> updates;
  BlobSpec spec; ///< register_blob; remove_blob: its name.
};

/// What an image is created with.
std::vector<BlobSpec> soak_blobs();
SoakOperation soak_operation(std::uint64_t seed, unsigned thread, std::uint64_t number);
/// Carries it out; a blob that is to be removed and is not there is no error.
Status carry_out(Store& store, const SoakOperation& operation);

/// The blobs of one thread by name. A blob that is not registered is not in it.
using SoakState = std::map<std::string, std::vector<std::byte>>;
/// What a thread has before its first operation.
SoakState soak_state(unsigned thread);
void apply_operation(const SoakOperation& operation, SoakState& state);
/// What an open store holds of a thread.
Result<SoakState> read_soak_state(Store& store, unsigned thread);

} // namespace vnvram::test
