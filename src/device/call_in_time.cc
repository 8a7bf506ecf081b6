#include "device/call_in_time.h"

#include <condition_variable>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

namespace vnvram {
namespace {

struct Call {
  std::mutex mutex;
  std::condition_variable returned;
  std::optional<int> result;
};

} // namespace

std::optional<int> call_in_time(std::chrono::milliseconds patience, std::function<int()> call) {
  const auto under_way = std::make_shared<Call>();
  const auto shared_call = std::make_shared<std::function<int()>>(std::move(call));
  try {
    std::thread([under_way, shared_call]() {
      const int result = (*shared_call)();
      *shared_call = nullptr; // What it owns goes before anybody hears of it.
      const std::lock_guard lock(under_way->mutex);
      under_way->result = result;
      under_way->returned.notify_all();
    }).detach();
  } catch (const std::system_error&) {
    return (*shared_call)(); // No thread to be had: then without a deadline.
  }
  std::unique_lock lock(under_way->mutex);
  under_way->returned.wait_for(lock, patience, [&] { return under_way->result.has_value(); });
  return under_way->result;
}

} // namespace vnvram
