#include "soak/soak_client.h"

#include <atomic>
#include <csignal>
#include <cstdio>
#include <thread>
#include <vector>

#include <fmt/core.h>
#include <unistd.h>

#include "vnvram/open_device.h"

namespace vnvram::test {
namespace {

class SoakClient {
public:
  explicit SoakClient(const SoakClientOptions& options) : options_(options) {}

  int run() {
    // Blocked before the threads start: only sigwait below takes it.
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);

    report({SoakReport::Kind::opening});
    auto device = open_device(options_.image, Access::read_write);
    if (!device) {
      return fail(device.error());
    }
    OpenOptions open_options;
    // Small, so that pages come and go; and checkpoints beside commits as often as can be.
    open_options.cache_size_bytes = std::uint64_t{1} << 20U;
    open_options.idle_checkpoint_after = std::chrono::milliseconds(5);
    auto store = Store::open(std::move(*device), std::move(open_options));
    if (!store) {
      return fail(store.error());
    }
    store_ = std::move(*store);
    report({SoakReport::Kind::opened, 0, 0, store_->info().generation});

    std::vector<std::jthread> threads;
    for (unsigned thread = 0; thread < soak_thread_count; ++thread) {
      threads.emplace_back([this, thread] { commit_all_the_time(thread); });
    }
    int signal = 0;
    ::sigwait(&signals, &signal);
    ends_ = true;
    threads.clear();
    report({SoakReport::Kind::closing});
    const Status closed = store_->close();
    if (!closed) {
      return fail(closed.error());
    }
    report({SoakReport::Kind::closed});
    return 0;
  }

private:
  void report(const SoakReport& report) const {
    if (::write(options_.report_fd, &report, sizeof(report)) != sizeof(report)) {
      ::_exit(3); // The parent is gone.
    }
  }

  int fail(const Error& error) const {
    fmt::print(stderr, "soak client: {}\n", error.text());
    report({SoakReport::Kind::failed});
    return 1;
  }

  void commit_all_the_time(unsigned thread) {
    for (std::uint64_t number = options_.first_numbers.at(thread); !ends_; ++number) {
      const SoakOperation operation = soak_operation(options_.seed, thread, number);
      report({SoakReport::Kind::submitting, thread, number, 0});
      const Status done = carry_out(*store_, operation);
      if (!done) {
        fail(done.error());
        return;
      }
      report({SoakReport::Kind::acknowledged, thread, number, store_->info().generation});
    }
  }

  const SoakClientOptions& options_;
  std::unique_ptr<Store> store_;
  std::atomic<bool> ends_ = false;
};

} // namespace

int run_soak_client(const SoakClientOptions& options) {
  return SoakClient(options).run();
}

} // namespace vnvram::test
