#include "crash/shared_workload.h"

#include <algorithm>
#include <thread>

#include <fmt/core.h>

namespace vnvram::test {
namespace {

constexpr unsigned calls_per_round = 4;
constexpr std::size_t submitted_max = 4; // Of one writer: the explorer is told all combinations.

/// Two blobs for each writer.
std::vector<std::string> blobs_of(std::size_t writer) {
  const auto first = static_cast<char>('a' + 2 * writer);
  return {std::string(1, first), std::string(1, static_cast<char>(first + 1))};
}

} // namespace

const ExplorerReport& SharedWorkload::run() {
  if (create() && open() && register_blobs()) {
    for (unsigned i = 0; i < options_.steps && round(); ++i) {
    }
  }
  if (report_.failure.empty()) {
    close();
  }
  for (Writer& writer : writers_) {
    writer.client.reset();
  }
  served_.reset(); // Before the explorer.
  return report_;
}

bool SharedWorkload::open() {
  served_.emplace(disk_);
  if (!succeeded("open", served_->open())) {
    return false;
  }
  for (Writer& writer : writers_) {
    auto connected = served_->client();
    if (!connected) {
      return succeeded("connect", connected.error());
    }
    writer.client = *std::move(connected);
  }
  return true;
}

bool SharedWorkload::register_blobs() {
  std::vector<BlobSpec> specs;
  StoreState next = explorer_->newest();
  for (std::size_t number = 1; number < writer_count; ++number) {
    for (const std::string& name : blobs_of(number)) {
      specs.push_back(spec_of(name, 1 + random_.below(options_.blob_size_bytes_cap)));
      next.register_blob(specs.back());
    }
  }
  {
    const std::lock_guard turn(served_->turn());
    explorer_->submit(next);
  }
  if (!succeeded("register", writers_.front().client->register_blobs(specs))) {
    return false;
  }
  const std::lock_guard turn(served_->turn());
  for (std::size_t number = 0; number < writer_count; ++number) {
    writers_.at(number).number = number;
    writers_.at(number).random = Random(id_.seed * writer_count + number);
    writers_.at(number).states = {next.of(blobs_of(number))};
  }
  acknowledge({}, 0);
  return report_.failure.empty();
}

bool SharedWorkload::round() {
  {
    std::vector<std::jthread> threads;
    for (Writer& writer : writers_) {
      threads.emplace_back([&] { write(writer); });
    }
  }
  if (!compare()) {
    return false;
  }
  if (random_.below(8) == 0) {
    return close() && open() && compare();
  }
  const std::lock_guard turn(served_->turn());
  explorer_->examine_now();
  return report_.failure.empty();
}

void SharedWorkload::write(Writer& writer) {
  bool done = true;
  for (unsigned i = 0; i < calls_per_round && done; ++i) {
    switch (has_many(writer) ? 0 : writer.random.below(6)) {
    case 0: done = flush(writer); break;
    case 1:
    case 2: done = defer(writer); break;
    default: done = commit(writer); break;
    }
  }
}

bool SharedWorkload::has_many(const Writer& writer) {
  const std::lock_guard turn(served_->turn());
  return writer.states.size() > submitted_max;
}

StoreState SharedWorkload::newest_of(const Writer& writer) {
  const std::lock_guard turn(served_->turn());
  return writer.states.back();
}

std::uint64_t SharedWorkload::submit(Writer& writer, const Transaction& transaction,
                                     Numbers& durable) {
  const std::lock_guard turn(served_->turn());
  StoreState next = writer.states.back();
  next.apply(transaction);
  writer.states.push_back(std::move(next));
  tell_explorer();
  durable = answered();
  const std::uint64_t number = writer.first_number + writer.states.size() - 1;
  durable.at(writer.number) = number;
  return number;
}

bool SharedWorkload::commit(Writer& writer) {
  const unsigned count = writer.random.below(2) == 0 ? 1 : 2;
  Numbers durable{};
  const Transaction transaction =
      RandomChanges(writer.random).some_updates(newest_of(writer), count);
  const std::uint64_t number = submit(writer, transaction, durable);
  const Result<std::uint64_t> generation = writer.client->commit(transaction);
  const std::lock_guard turn(served_->turn());
  if (!generation) {
    return failed("commit", generation.error());
  }
  writer.answered_number = number;
  acknowledge(durable, *generation);
  return report_.failure.empty();
}

bool SharedWorkload::defer(Writer& writer) {
  RandomChanges changes(writer.random);
  const StoreState newest = newest_of(writer);
  const Transaction transaction =
      changes.some_deferred_write(newest, changes.some_blob(newest), DeferredSize::small);
  const Transaction::Update& update = transaction.updates().front();
  Numbers durable{};
  const std::uint64_t number = submit(writer, transaction, durable);
  const Status written =
      writer.client->write(update.blob, update.offset_bytes, update.bytes, Durability::deferred);
  const std::lock_guard turn(served_->turn());
  if (!written) {
    return failed("deferred write", written.error());
  }
  writer.answered_number = number;
  return report_.failure.empty();
}

bool SharedWorkload::flush(Writer& writer) {
  Numbers durable{};
  {
    const std::lock_guard turn(served_->turn());
    durable = answered();
  }
  const Status flushed = writer.client->flush();
  const std::lock_guard turn(served_->turn());
  if (!flushed) {
    return failed("flush", flushed.error());
  }
  acknowledge(durable, 0);
  return report_.failure.empty();
}

SharedWorkload::Numbers SharedWorkload::answered() const {
  Numbers numbers{};
  for (const Writer& writer : writers_) {
    numbers.at(writer.number) = writer.answered_number;
  }
  return numbers;
}

void SharedWorkload::acknowledge(const Numbers& durable, std::uint64_t generation) {
  for (Writer& writer : writers_) {
    for (; writer.first_number < durable.at(writer.number); ++writer.first_number) {
      writer.states.pop_front();
    }
  }
  generation_min_ = std::max(generation_min_, generation);
  tell_explorer();
}

void SharedWorkload::tell_explorer() {
  std::vector<StoreState> all = {StoreState()};
  for (const Writer& writer : writers_) {
    std::vector<StoreState> longer;
    for (const StoreState& state : all) {
      for (const StoreState& its : writer.states) {
        longer.push_back(state);
        longer.back().add(its);
      }
    }
    all = std::move(longer);
  }
  explorer_->acknowledge(all.front(), generation_min_);
  for (std::size_t i = 1; i < all.size(); ++i) {
    explorer_->submit(all[i]);
  }
}

bool SharedWorkload::failed(const char* what, const Error& error) {
  return fail(fmt::format("{}: {}", what, error.text()));
}

bool SharedWorkload::close() {
  for (Writer& writer : writers_) {
    writer.client.reset();
  }
  const Status closed = served_->close();
  const std::lock_guard turn(served_->turn());
  if (!closed) {
    return failed("close", closed.error());
  }
  acknowledge(answered(), 0);
  explorer_->examine_now();
  return report_.failure.empty();
}

bool SharedWorkload::compare() {
  const Result<StoreState> found = StoreState::capture(*writers_.back().client);
  const std::lock_guard turn(served_->turn());
  if (!found) {
    return failed("read", found.error());
  }
  StoreState newest;
  for (const Writer& writer : writers_) {
    newest.add(writer.states.back());
  }
  if (!(*found == newest)) {
    return fail("a session sees another state than the model's: " + newest.difference(*found));
  }
  return report_.failure.empty();
}

} // namespace vnvram::test
