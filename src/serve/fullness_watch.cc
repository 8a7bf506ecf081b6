#include "serve/fullness_watch.h"

#include <chrono>
#include <utility>

#include "serve/variable_space.h"

namespace vnvram {
namespace {

// A walk over all variables takes as long as a commit.
constexpr std::chrono::seconds between_looks_at_variables{10};

using Action = Transaction::Action;

bool has_content_of_its_own(const BlobInfo& blob) {
  return blob.size_bytes > 0 && blob.size_bytes < blob.size_max_bytes;
}

std::uint64_t used_space_bytes(const StoreInfo& info) {
  return info.space_size_bytes - info.space_free_bytes;
}

} // namespace

void FullnessWatch::begin(const Store& store) {
  const Clock::Time now = clock_.now();
  const std::vector<BlobInfo> blobs = store.blobs();
  const std::lock_guard lock(mutex_);
  space_.emplace(used_space_bytes(store.info()), now);
  blobs_.clear();
  variables_.clear();
  note_blobs_with_variables(blobs);
  for (const BlobInfo& blob : blobs) {
    if (has_content_of_its_own(blob)) {
      blobs_.emplace(blob.name, FillLevel(blob.size_bytes, now));
    }
  }
}

// Needs the mutex. They are read when they are written the next time, and not only to know.
void FullnessWatch::note_blobs_with_variables(const std::vector<BlobInfo>& blobs) {
  for (const BlobInfo& blob : blobs) {
    if (has_variables(blob)) {
      variables_.try_emplace(blob.name,
                             Variables{.level = std::nullopt, .generation = blob.generation});
    }
  }
}

void FullnessWatch::blobs_changed(const Store& store, const Transaction& transaction) {
  for (const Transaction::Update& update : transaction.updates()) {
    if (update.action != Action::write && update.action != Action::set_size) {
      continue;
    }
    if (const Result<BlobInfo> blob = store.blob(update.blob); blob) {
      look_at(*blob);
    }
  }
}

void FullnessWatch::look_at(const BlobInfo& blob) {
  std::optional<std::string> forecast;
  {
    const std::lock_guard lock(mutex_);
    const auto found = blobs_.find(blob.name);
    if (found != blobs_.end()) {
      forecast = found->second.look(blob.size_bytes, blob.size_max_bytes, clock_.now());
    } else if (has_content_of_its_own(blob)) {
      blobs_.emplace(blob.name, FillLevel(blob.size_bytes, clock_.now()));
    }
  }
  if (forecast) {
    tell_({.blob = blob.name,
           .used_bytes = blob.size_bytes,
           .size_bytes = blob.size_max_bytes,
           .forecast = *std::move(forecast)});
  }
}

std::vector<std::string> FullnessWatch::variables_due(const Store& store) {
  const std::lock_guard lock(mutex_);
  const Clock::Time now = clock_.now();
  std::vector<std::string> due;
  if (variables_.empty() || now < next_look_at_variables_) {
    return due;
  }
  for (auto& [name, variables] : variables_) {
    const Result<BlobInfo> blob = store.blob(name);
    if (blob && std::exchange(variables.generation, blob->generation) != blob->generation) {
      due.push_back(name);
    }
  }
  if (!due.empty()) {
    next_look_at_variables_ = now + between_looks_at_variables;
  }
  return due;
}

void FullnessWatch::variables_may_have_changed(Store& store) {
  for (const std::string& name : variables_due(store)) {
    if (const Result<BlobInfo> blob = store.blob(name); blob) {
      look_at_variables(store, *blob);
    }
  }
}

void FullnessWatch::look_at_variables(Store& store, const BlobInfo& blob) {
  const std::optional<VariableSpace> space = variable_space(store, blob);
  if (!space) {
    return;
  }
  std::optional<std::string> forecast;
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = variables_.find(blob.name); found != variables_.end()) {
      std::optional<FillLevel>& level = found->second.level;
      level = level.value_or(FillLevel(space->used_bytes, clock_.now()));
      forecast = level->look(space->used_bytes, space->size_bytes, clock_.now());
    }
  }
  if (forecast) {
    tell_({.blob = blob.name,
           .used_bytes = space->used_bytes,
           .size_bytes = space->size_bytes,
           .forecast = *std::move(forecast)});
  }
}

void FullnessWatch::directory_changed(const Store& store) {
  const StoreInfo info = store.info();
  const std::uint64_t used_bytes = used_space_bytes(info);
  std::optional<std::string> forecast;
  {
    const std::lock_guard lock(mutex_);
    if (space_) {
      forecast = space_->look(used_bytes, info.space_size_bytes, clock_.now());
    }
    const auto is_gone = [&](const auto& entry) { return !store.blob(entry.first); };
    std::erase_if(blobs_, is_gone);
    std::erase_if(variables_, is_gone);
    note_blobs_with_variables(store.blobs());
  }
  if (forecast) {
    tell_({.blob = "",
           .used_bytes = used_bytes,
           .size_bytes = info.space_size_bytes,
           .forecast = *std::move(forecast)});
  }
}

} // namespace vnvram
