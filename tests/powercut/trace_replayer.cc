#include "powercut/trace_replayer.h"

#include <fmt/core.h>

#include "crash/crash_explorer.h"
#include "device/memory_device.h"

namespace vnvram::test {
namespace {

// Whole sectors: what lies beside a shorter write in its sectors is written with it.
struct Aligned {
  std::uint64_t offset_bytes;
  std::vector<std::byte> bytes;
};

Aligned aligned(const Trace::Step& step, const std::vector<std::byte>& cache) {
  const std::uint64_t begin = step.operation.offset_bytes / block_size_bytes * block_size_bytes;
  const std::uint64_t end = step.operation.offset_bytes + step.bytes.size();
  const std::uint64_t aligned_end =
      (end + block_size_bytes - 1) / block_size_bytes * block_size_bytes;
  Aligned result{begin, std::vector<std::byte>(aligned_end - begin)};
  for (std::uint64_t at = begin; at < aligned_end && at < cache.size(); ++at) {
    result.bytes[at - begin] = cache[at];
  }
  std::copy(step.bytes.begin(), step.bytes.end(),
            result.bytes.begin() +
                static_cast<std::ptrdiff_t>(step.operation.offset_bytes - begin));
  return result;
}

Result<std::unique_ptr<Store>> open_to_read(const std::vector<std::byte>& image) {
  OpenOptions options = deterministic_options();
  options.access = Access::read_only;
  return Store::open(
      std::make_unique<MemoryDevice>(std::make_shared<MemoryDisk>(image), Access::read_only),
      options);
}

} // namespace

TraceReplayer::TraceReplayer(Trace trace, std::uint64_t seed, std::uint64_t images_per_operation)
    : trace_(std::move(trace)), seed_(seed), images_per_operation_(images_per_operation) {
  std::vector<std::byte> base = trace_.base;
  base.resize((base.size() + block_size_bytes - 1) / block_size_bytes * block_size_bytes);
  disk_ = std::make_shared<SimulatedDisk>(std::move(base));
}

const TraceReport& TraceReplayer::run(const std::string& only) {
  only_ = only;
  disk_->set_hook([this](const SimulatedOperation& operation) {
    if (operation.kind != OperationKind::read && report_.failure.empty()) {
      examine(operation);
    }
  });
  learn(disk_->durable());
  for (const Trace::Step& step : trace_.steps) {
    ++report_.operations;
    apply(step);
    if (!report_.failure.empty()) {
      break;
    }
  }
  disk_->set_hook({});
  report_.generation = durable_generation_.value_or(0);
  return report_;
}

void TraceReplayer::apply(const Trace::Step& step) {
  SimulatedDevice device(disk_);
  Status done;
  switch (step.operation.kind) {
  case TraceKind::write:
  case TraceKind::write_durable: {
    const Aligned write = aligned(step, disk_->cache());
    done = step.operation.kind == TraceKind::write
               ? device.write(write.offset_bytes, write.bytes)
               : device.write_durable(write.offset_bytes, write.bytes);
    break;
  }
  case TraceKind::flush: done = device.flush(); break;
  case TraceKind::resize:
    if (step.operation.length_bytes > disk_->cache().size()) {
      done = device.resize(step.operation.length_bytes);
    }
    break;
  }
  if (!done) {
    report_.failure = fmt::format("operation {}: {}", report_.operations, done.error().text());
  }
}

void TraceReplayer::examine(const SimulatedOperation& operation) {
  // What is durable now stays; and what the operation leads to may be there.
  if (const auto durable = open_to_read(disk_->durable())) {
    const std::uint64_t generation = (*durable)->info().generation;
    durable_generation_ = std::max(durable_generation_.value_or(0), generation);
  }
  const CrashState state(*disk_, &operation);
  const std::uint64_t everything = state.choice_count(images_per_operation_);
  learn(disk_->cache());
  std::vector<std::byte> all_kept = disk_->cache();
  if (operation.offset_bytes + operation.data.size() <= all_kept.size()) {
    std::copy(operation.data.begin(), operation.data.end(),
              all_kept.begin() + static_cast<std::ptrdiff_t>(operation.offset_bytes));
  }
  learn(all_kept);
  const std::uint64_t count = everything != 0 ? everything : images_per_operation_;
  for (std::uint64_t i = 0; i < count && report_.failure.empty(); ++i) {
    const bool sample = everything == 0 && i > 2;
    try_image(state, report_.operations,
              {.number = sample ? seed_ * 65536 + report_.operations * 64 + i : i,
               .torn = sample && i % 2 == 0});
  }
}

void TraceReplayer::try_image(const CrashState& state, std::uint64_t operation, CutChoice choice) {
  const std::string id = fmt::format("{}:{}", operation, choice.text());
  if (!only_.empty() && only_ != id) {
    return;
  }
  ++report_.images;
  const std::string wrong = judge(state.power_cut(choice, images_per_operation_));
  if (!wrong.empty()) {
    report_.failure = fmt::format("{}\nreproduce with: --only {}", wrong, id);
  }
}

void TraceReplayer::learn(const std::vector<std::byte>& image) {
  const auto store = open_to_read(image);
  if (!store) {
    return;
  }
  const Result<StoreState> state = StoreState::capture(**store);
  if (state) {
    states_.try_emplace((*store)->info().generation, *state);
  }
}

std::string TraceReplayer::judge(const std::vector<std::byte>& image) {
  const auto store = open_to_read(image);
  if (!store) {
    return durable_generation_ ? "cannot be opened: " + store.error().text() : "";
  }
  const std::uint64_t generation = (*store)->info().generation;
  if (generation < durable_generation_.value_or(0)) {
    return fmt::format("generation {} is older than {}, which was durable", generation,
                       *durable_generation_);
  }
  const Result<StoreState> found = StoreState::capture(**store);
  if (!found) {
    return "cannot be read: " + found.error().text();
  }
  const auto known = states_.find(generation);
  if (known == states_.end()) {
    return fmt::format("generation {} was never the program's", generation);
  }
  if (known->second != *found) {
    return fmt::format("generation {} is not what the program had then: {}", generation,
                       known->second.difference(*found));
  }
  MemoryDevice device(std::make_shared<MemoryDisk>(image), Access::read_only);
  const Result<CheckReport> report = check_image(device);
  for (const CheckProblem& problem : report ? report->problems : std::vector<CheckProblem>()) {
    return fmt::format("check finds {}: {}", problem.place, problem.what);
  }
  return report ? "" : "cannot be checked: " + report.error().text();
}

} // namespace vnvram::test
