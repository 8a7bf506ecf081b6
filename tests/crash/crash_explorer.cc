#include "crash/crash_explorer.h"

#include <algorithm>

#include <fmt/core.h>

namespace vnvram::test {

std::vector<std::byte> data_key() {
  return Random(15).bytes(32);
}

OpenOptions deterministic_options() {
  OpenOptions options;
  options.background = false;
  options.cache_size_bytes = cache_size_min_bytes;
  options.keys = KeyRing::of_data_key(data_key());
  options.keys.accept_plain(); // Of either.
  return options;
}

CrashExplorer::CrashExplorer(std::shared_ptr<SimulatedDisk> disk, const ReplayId& id,
                             ExplorerBudget budget, ExplorerReport& report, unsigned level)
    : disk_(std::move(disk)), trial_(std::make_shared<MemoryDisk>(disk_->durable().size())),
      id_(id), budget_(budget), report_(report), level_(level) {
  disk_->set_hook([this](const SimulatedOperation& operation) {
    examine(&operation);
    if (operation_hook_) {
      operation_hook_(operation);
    }
  });
}

CrashExplorer::~CrashExplorer() {
  disk_->set_hook({});
}

void CrashExplorer::acknowledge(const StoreState& state, std::uint64_t generation) {
  acceptable_ = {state};
  generation_min_ = generation;
}

void CrashExplorer::submit(const StoreState& state) {
  acceptable_.push_back(state);
}

void CrashExplorer::acknowledge_submitted(std::size_t count, std::uint64_t generation) {
  acceptable_.erase(acceptable_.begin(), acceptable_.begin() + static_cast<std::ptrdiff_t>(count));
  generation_min_ = std::max(generation_min_, generation);
}

void CrashExplorer::withdraw() {
  acceptable_.pop_back();
}

void CrashExplorer::examine_now() {
  examine(nullptr);
}

void CrashExplorer::examine(const SimulatedOperation* in_flight) {
  if (acceptable_.empty() || failed()) {
    return;
  }
  if (in_flight != nullptr && in_flight->kind == OperationKind::read) {
    return; // Nothing differs from the moment after the operation before.
  }
  // What directly follows a flush relies on it; a process that dies there leaves it in the cache.
  const bool behind_flush = in_flight != nullptr && after_flush_;
  after_flush_ = in_flight != nullptr ? in_flight->kind == OperationKind::flush : after_flush_;
  CutPoint point;
  point.operation = in_flight != nullptr ? in_flight->number : disk_->operation_count();
  point.after = in_flight == nullptr;
  if (replaying()) {
    const CutPoint& wanted = id_.cuts.at(level_);
    if (wanted.operation != point.operation || wanted.after != point.after) {
      return;
    }
  }
  examine_all_choices(CrashState(*disk_, in_flight), point, behind_flush);
}

void CrashExplorer::examine_all_choices(const CrashState& state, CutPoint point,
                                        bool process_dies) {
  if (replaying()) {
    point = id_.cuts.at(level_);
    point.kind == CutPoint::Kind::power_cut ? try_power_cut(state, point)
                                            : try_process_death(state, point);
    return;
  }
  const std::uint64_t exhaustive = state.choice_count(budget_.exhaustive_limit);
  const std::uint64_t count = exhaustive != 0 ? exhaustive : budget_.samples;
  // Another operation gets other samples; 0, 1 and 2 are special.
  const std::uint64_t first_sample = 3 + point.operation * 64 + id_.seed * 65536;
  for (std::uint64_t i = 0; i < count && !failed(); ++i) {
    point.choice = {.number = exhaustive != 0 || i < 3 ? i : first_sample + i, .torn = false};
    try_power_cut(state, point);
  }
  const std::uint64_t torn = state.nothing_pending() ? 0 : budget_.torn_samples;
  for (std::uint64_t i = 0; i < torn && !failed(); ++i) {
    point.choice = {.number = first_sample + i, .torn = true};
    try_power_cut(state, point);
  }
  point.kind = CutPoint::Kind::process_death;
  Random random(id_.seed * 1000003 + point.operation);
  const bool chosen = random.below(budget_.process_death_every) == 0;
  if (level_ < budget_.depth && (chosen || process_dies) && !failed()) {
    point.choice = {.number = process_dies || random.below(2) == 0 ? 1 : first_sample,
                    .torn = false};
    try_process_death(state, point);
  }
}

bool CrashExplorer::goes_deeper(const CutPoint& point) const {
  if (replaying()) {
    return id_.cuts.size() > level_ + 1;
  }
  Random random(id_.seed * 1000003 + point.operation * 1009 + point.choice.number * 2 +
                (point.choice.torn ? 1 : 0));
  return level_ < budget_.depth && random.below(budget_.deep_every) == 0;
}

void CrashExplorer::try_power_cut(const CrashState& state, const CutPoint& point) {
  state.power_cut(point.choice, budget_.exhaustive_limit, trial_->bytes());
  ++report_.images;
  // Beside the opening that is always tried, some images are checked and opened read-only.
  const bool thoroughly = replaying() || report_.images % 4 == 0;
  if (const std::string wrong = judge(thoroughly); !wrong.empty()) {
    fail(point, wrong);
  } else if (goes_deeper(point)) {
    auto image = state.power_cut(point.choice, budget_.exhaustive_limit);
    if (const std::string later = live_on(std::make_shared<SimulatedDisk>(std::move(image)), point);
        !later.empty()) {
      fail(point, later);
    }
  }
}

/// Always explored deeper: what the cache holds and the disk does not matters only to a later cut.
void CrashExplorer::try_process_death(const CrashState& state, const CutPoint& point) {
  ++report_.images;
  if (const std::string wrong = live_on(state.process_death(point.choice.number), point);
      !wrong.empty()) {
    fail(point, wrong);
  }
}

std::string CrashExplorer::judge_content(Store& store) const {
  const Result<StoreState> found = StoreState::capture(store);
  if (!found) {
    return "cannot be read: " + found.error().text();
  }
  const std::uint64_t generation = store.info().generation;
  if (std::find(acceptable_.begin(), acceptable_.end(), *found) == acceptable_.end()) {
    return fmt::format("generation {} holds neither the acknowledged state ({}) nor one of the {} "
                       "submitted since (the newest: {})",
                       generation, acceptable_.front().difference(*found), acceptable_.size() - 1,
                       acceptable_.back().difference(*found));
  }
  if (generation < generation_min_) {
    return fmt::format("generation {} is older than the acknowledged {}", generation,
                       generation_min_);
  }
  return {};
}

std::string CrashExplorer::judge_check(bool after_close) const {
  MemoryDevice device(trial_, Access::read_only);
  const Result<CheckReport> report = check_image(device, {}, deterministic_options().keys);
  if (!report) {
    return "cannot be checked: " + report.error().text();
  }
  for (const CheckProblem& problem : report->problems) {
    return fmt::format("check finds {}: {}", problem.place, problem.what);
  }
  return after_close && !report->notes.empty() ? "check notes: " + report->notes.front() : "";
}

std::string CrashExplorer::judge(bool thoroughly) const {
  std::uint64_t generation = 0;
  if (thoroughly) {
    if (std::string wrong = judge_check(false); !wrong.empty()) {
      return wrong;
    }
    OpenOptions reading = deterministic_options();
    reading.access = Access::read_only;
    const auto reader =
        Store::open(std::make_unique<MemoryDevice>(trial_, Access::read_only), reading);
    if (!reader) {
      return "cannot be opened read-only: " + reader.error().text();
    }
    if (std::string wrong = judge_content(**reader); !wrong.empty()) {
      return "read-only: " + wrong;
    }
    generation = (*reader)->info().generation;
  }
  const auto store = Store::open(std::make_unique<MemoryDevice>(trial_), deterministic_options());
  if (!store) {
    return "cannot be opened: " + store.error().text();
  }
  std::string wrong = judge_content(**store);
  if (wrong.empty() && thoroughly && (*store)->info().generation != generation) {
    wrong = "another generation than a reader found";
  }
  if (const Status closed = (*store)->close(); wrong.empty() && !closed) {
    wrong = "cannot be closed: " + closed.error().text();
  }
  return wrong.empty() && thoroughly ? judge_check(true) : wrong;
}

namespace {

std::string defer_one_each(CrashExplorer& explorer, Store& store, int round) {
  const std::vector<std::byte> bytes(1, static_cast<std::byte>(0xD0 + round));
  const StoreState before = explorer.newest();
  for (const auto& [name, blob] : before.blobs()) {
    Transaction transaction;
    transaction.write_range(name, blob.size_max_bytes - 1, bytes);
    StoreState next = explorer.newest();
    next.apply(transaction);
    explorer.submit(next);
    const Status status = store.write_range_deferred(name, blob.size_max_bytes - 1, bytes);
    if (!status) {
      return "the first deferred writes fail: " + status.error().text();
    }
  }
  const Result<StoreState> seen = StoreState::capture(store);
  return seen && *seen == explorer.newest() ? "" : "deferred writes are not seen";
}

/// In one transaction, behind what was deferred; and a checkpoint.
std::string commit_all(CrashExplorer& explorer, Store& store, int round) {
  const std::vector<std::byte> bytes(300, std::byte{0x5A});
  Transaction transaction;
  for (const auto& [name, blob] : explorer.newest().blobs()) {
    transaction.write(name, std::span(bytes).first(std::min<std::size_t>(
                                blob.size_max_bytes, static_cast<std::size_t>(200 + round))));
  }
  StoreState next = explorer.newest();
  next.apply(transaction);
  explorer.submit(next);
  if (const Status status = store.commit(transaction); !status) {
    return "the first commits fail: " + status.error().text();
  }
  explorer.acknowledge_submitted(explorer.unacknowledged(), store.info().generation);
  if (const Status status = store.checkpoint(); !status) {
    return "the first checkpoints fail: " + status.error().text();
  }
  return {};
}

} // namespace

std::string CrashExplorer::live_on(const std::shared_ptr<SimulatedDisk>& disk,
                                   const CutPoint& point) {
  ++report_.recoveries_cut;
  ExplorerBudget budget = budget_;
  budget.exhaustive_limit = 1;
  budget.samples = 4;
  budget.torn_samples = 1;
  budget.process_death_every = 8;
  budget.deep_every *= 10;
  CrashExplorer deeper(disk, id_, budget, report_, level_ + 1);
  deeper.path_ = path_;
  deeper.path_.push_back(point);
  deeper.acceptable_ = acceptable_;
  deeper.generation_min_ = generation_min_;
  auto store = Store::open(std::make_unique<SimulatedDevice>(disk), deterministic_options());
  if (!store) {
    return "cannot be opened: " + store.error().text();
  }
  if (std::string wrong = judge_content(**store); !wrong.empty()) {
    return wrong;
  }
  // What an owner has seen stays, whatever happens next: it may have told others.
  const Result<StoreState> seen = StoreState::capture(**store);
  deeper.acknowledge(*seen, (*store)->info().generation);
  deeper.examine_now();

  for (int round = 0; round < 2 && !failed(); ++round) {
    std::string wrong = defer_one_each(deeper, **store, round);
    wrong = wrong.empty() ? commit_all(deeper, **store, round) : wrong;
    if (!wrong.empty()) {
      return wrong;
    }
    deeper.examine_now();
  }
  if (std::string wrong = defer_one_each(deeper, **store, 2); !wrong.empty()) {
    return wrong;
  }
  if (const Status status = (*store)->close(); !status) {
    return "cannot be closed: " + status.error().text();
  }
  deeper.acknowledge_submitted(deeper.unacknowledged(), 0);
  deeper.examine_now();
  return {};
}

void CrashExplorer::fail(const CutPoint& point, const std::string& what) {
  if (failed()) {
    return;
  }
  ReplayId id = id_;
  id.cuts = path_;
  id.cuts.push_back(point);
  report_.failure = fmt::format("{}\nreproduce with: --replay {}", what, id.text());
}

} // namespace vnvram::test
