// What an owner tells a client that watches, for a test that waits for it.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include <gtest/gtest.h>

#include "rpc/owner_client.h"

namespace vnvram::test {

class EventRecorder {
public:
  explicit EventRecorder(std::unique_ptr<OwnerClient> client) : client_(std::move(client)) {
    const Status watches = client_->watch(
        [this](const OwnerEvent& event) {
          const std::lock_guard lock(mutex_);
          events_.push_back(event);
          changed_.notify_all();
        },
        [this](const Error& error) {
          const std::lock_guard lock(mutex_);
          lost_ = error;
          changed_.notify_all();
        });
    EXPECT_TRUE(watches.ok());
  }

  /// False: it has not happened within a minute.
  bool wait_for(const std::function<bool(const OwnerEvent&)>& is_it) {
    return wait([&] { return std::any_of(events_.begin(), events_.end(), is_it); });
  }
  bool wait_for_generation(std::uint64_t generation) {
    return wait_for([=](const OwnerEvent& event) {
      const auto* reached = std::get_if<GenerationReached>(&event);
      return reached != nullptr && reached->generation == generation;
    });
  }
  template <typename Event> bool wait_for_any() {
    return wait_for([](const OwnerEvent& event) { return std::holds_alternative<Event>(event); });
  }
  bool wait_for_loss() {
    return wait([this] { return lost_.has_value(); });
  }
  template <typename Event> [[nodiscard]] std::vector<Event> all_of() const {
    const std::lock_guard lock(mutex_);
    std::vector<Event> found;
    for (const OwnerEvent& event : events_) {
      if (const auto* one = std::get_if<Event>(&event)) {
        found.push_back(*one);
      }
    }
    return found;
  }

private:
  bool wait(const std::function<bool()>& done) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(60), done);
  }

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<OwnerEvent> events_;
  std::optional<Error> lost_;
  std::unique_ptr<OwnerClient> client_; ///< The last: its thread uses the others.
};

} // namespace vnvram::test
