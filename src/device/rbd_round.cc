#include "device/rbd_round.h"

#include <utility>

namespace vnvram {

struct RbdRound::UnderWay {
  std::shared_ptr<RbdRound> round;
  std::size_t index = 0;
  std::vector<std::byte> bytes;
  const RbdLibrary* library = nullptr;
};

std::shared_ptr<RbdRound> RbdRound::send(const RbdHandle& image,
                                         std::span<const RbdRequest> requests) {
  const std::shared_ptr<RbdRound> round(new RbdRound(requests.size()));
  for (std::size_t index = 0; index < requests.size(); ++index) {
    auto under_way = std::make_unique<UnderWay>();
    under_way->round = round;
    under_way->index = index;
    under_way->library = &image.library();
    if (const int sent = send_one(image, requests[index], std::move(under_way)); sent < 0) {
      round->has_answer(index, sent, {});
    }
  }
  return round;
}

int RbdRound::send_one(const RbdHandle& image, const RbdRequest& request,
                       std::unique_ptr<UnderWay> under_way) {
  const RbdLibrary& library = image.library();
  if (request.kind == RbdRequest::Kind::write) {
    under_way->bytes.assign(request.from.begin(), request.from.end());
  } else {
    under_way->bytes.resize(request.into.size());
  }
  rbd_completion_t completion = nullptr;
  if (const int made = library.rbd_aio_create_completion(under_way.get(), answered, &completion);
      made < 0) {
    return made;
  }
  UnderWay* const sent = under_way.release(); // answered() takes it back.
  char* const bytes = reinterpret_cast<char*>(sent->bytes.data());
  const std::size_t length_bytes = sent->bytes.size();
  int result = 0;
  switch (request.kind) {
  case RbdRequest::Kind::read:
    result =
        library.rbd_aio_read(image.image(), request.offset_bytes, length_bytes, bytes, completion);
    break;
  case RbdRequest::Kind::write:
    result =
        library.rbd_aio_write(image.image(), request.offset_bytes, length_bytes, bytes, completion);
    break;
  case RbdRequest::Kind::flush: result = library.rbd_aio_flush(image.image(), completion); break;
  }
  if (result < 0) { // Then it is not called.
    under_way.reset(sent);
    library.rbd_aio_release(completion);
  }
  return result;
}

// On a thread of librbd's.
void RbdRound::answered(rbd_completion_t completion, void* under_way) {
  const std::unique_ptr<UnderWay> request(static_cast<UnderWay*>(under_way));
  const ssize_t result = request->library->rbd_aio_get_return_value(completion);
  request->library->rbd_aio_release(completion);
  request->round->has_answer(request->index, result, std::move(request->bytes));
}

void RbdRound::has_answer(std::size_t index, ssize_t result, std::vector<std::byte> bytes) {
  std::unique_lock lock(mutex_);
  results_[index] = result;
  read_bytes_[index] = std::move(bytes);
  const bool are_all = --pending_ == 0;
  lock.unlock(); // Who is woken with it held waits once more.
  if (are_all) {
    answered_.notify_all();
  }
}

bool RbdRound::wait_until(std::chrono::steady_clock::time_point deadline) {
  std::unique_lock lock(mutex_);
  return answered_.wait_until(lock, deadline, [this] { return pending_ == 0; });
}

} // namespace vnvram
