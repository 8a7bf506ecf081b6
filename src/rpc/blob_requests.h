// Requests of Blobs in owner.capnp that a session makes in more than one place.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "client/image_state.h"
#include "rpc/owner.capnp.h"
#include "rpc/wire.h"
#include "vnvram/hand_over.h"
#include "vnvram/result.h"
#include "vnvram/transaction.h"

namespace vnvram {

/// What an answer says, by `read(answer)`, or its failure.
template <typename T, typename Answer, typename Read>
Result<T> take_answer(Answer&& answer, Read read) {
  if (answer.hasFailure()) {
    return read_failure(answer.getFailure());
  }
  return read(answer);
}

/// What a transaction takes in a request, its bytes and its names.
[[nodiscard]] std::uint64_t size_bytes_of(const Transaction& transaction);

/// And what a message takes that asks for it.
[[nodiscard]] std::uint64_t request_size_words(const Transaction& transaction);

/// The generation.
kj::Promise<Result<std::uint64_t>> request_change(rpc::Owner::Client& owner,
                                                  const Transaction& transaction, bool deferred);
kj::Promise<Status> request_claim(rpc::Owner::Client& owner, const std::vector<std::string>& blobs);
kj::Promise<Status> request_hand_over(rpc::Owner::Client& owner);
kj::Promise<Result<OwnerEpoch>> request_let_go(rpc::Owner::Client& owner,
                                               const HandOverNumber& number);
kj::Promise<Status> request_go_on(rpc::Owner::Client& owner, const GoOn& from);
kj::Promise<Result<ImageState>> request_state(rpc::Owner::Client& owner);

/// As state() has it, at one moment.
struct SeenImage {
  ImageState state;
  std::uint64_t last_event = 0;
};
kj::Promise<Result<SeenImage>> request_seen_image(rpc::Owner::Client& owner);
/// Also when there is no image.
kj::Promise<Result<std::uint64_t>> request_last_event(rpc::Owner::Client& owner);

} // namespace vnvram
