#include "rpc/blob_requests.h"

namespace vnvram {
namespace {

// What a request, and an update in it, takes beside the bytes, and what they are filled up with.
constexpr std::uint64_t request_min_words = 64;
constexpr std::uint64_t update_min_words = 16;
constexpr std::uint64_t word_bytes = sizeof(capnp::word);

} // namespace

std::uint64_t size_bytes_of(const Transaction& transaction) {
  std::uint64_t size_bytes = 0;
  for (const Transaction::Update& update : transaction.updates()) {
    size_bytes += update.bytes.size() + update.blob.size();
  }
  return size_bytes;
}

std::uint64_t request_size_words(const Transaction& transaction) {
  return request_min_words + size_bytes_of(transaction) / word_bytes +
         update_min_words * transaction.updates().size();
}

kj::Promise<Result<std::uint64_t>> request_change(rpc::Owner::Client& owner,
                                                  const Transaction& transaction, bool deferred) {
  auto request = owner.changeRequest(capnp::MessageSize{request_size_words(transaction), 0});
  write_updates(request.initUpdates(static_cast<unsigned>(transaction.updates().size())),
                transaction);
  request.setDeferred(deferred);
  return request.send().then([](auto&& answer) {
    return take_answer<std::uint64_t>(answer,
                                      [](const auto& made) { return made.getGeneration(); });
  });
}

kj::Promise<Status> request_claim(rpc::Owner::Client& owner,
                                  const std::vector<std::string>& blobs) {
  auto request = owner.claimRequest();
  auto list = request.initBlobs(static_cast<unsigned>(blobs.size()));
  for (unsigned index = 0; index < list.size(); ++index) {
    list.set(index, blobs[index]);
  }
  return request.send().then([](auto&& answer) { return take_status(answer); });
}

kj::Promise<Status> request_hand_over(rpc::Owner::Client& owner) {
  return owner.handOverRequest().send().then([](auto&& answer) { return take_status(answer); });
}

kj::Promise<Result<OwnerEpoch>> request_let_go(rpc::Owner::Client& owner,
                                               const HandOverNumber& number) {
  auto request = owner.letGoRequest();
  if (!number.is_none()) {
    request.setNumber(to_data(number.bytes));
  }
  return request.send().then([](auto&& answer) {
    return take_answer<OwnerEpoch>(answer, [](const auto& gone) {
      return OwnerEpoch{.number = gone.getEpoch().getNumber(),
                        .random = gone.getEpoch().getRandom()};
    });
  });
}

kj::Promise<Status> request_go_on(rpc::Owner::Client& owner, const GoOn& from) {
  auto request = owner.goOnRequest();
  if (from.hand_over) {
    request.setNumber(to_data(from.hand_over->bytes));
  }
  if (from.own_epoch) {
    request.initEpoch().setNumber(from.own_epoch->number);
    request.getEpoch().setRandom(from.own_epoch->random);
  }
  return request.send().then([](auto&& answer) { return take_status(answer); });
}

kj::Promise<Result<ImageState>> request_state(rpc::Owner::Client& owner) {
  return owner.stateRequest().send().then([](auto&& answer) {
    return take_answer<ImageState>(answer,
                                   [](const auto& found) { return read_state(found.getState()); });
  });
}

kj::Promise<Result<SeenImage>> request_seen_image(rpc::Owner::Client& owner) {
  return owner.stateRequest().send().then([](auto&& answer) {
    return take_answer<SeenImage>(answer, [](const auto& found) {
      return SeenImage{read_state(found.getState()), found.getLastEvent()};
    });
  });
}

// Also when there is no image.
kj::Promise<Result<std::uint64_t>> request_last_event(rpc::Owner::Client& owner) {
  return owner.stateRequest().send().then(
      [](auto&& answer) -> Result<std::uint64_t> { return answer.getLastEvent(); });
}

} // namespace vnvram
