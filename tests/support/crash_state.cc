#include "support/crash_state.h"

#include <algorithm>

#include "support/random.h"

namespace vnvram::test {
namespace {

void put(std::vector<std::byte>& image, std::uint64_t sector, const Sector& content,
         std::size_t length = sector_size_bytes) {
  const std::uint64_t offset = sector * sector_size_bytes;
  if (offset + sector_size_bytes <= image.size()) { // Beyond: a resize that was lost.
    std::copy_n(content.begin(), length, image.begin() + static_cast<std::ptrdiff_t>(offset));
  }
}

/// Any version, or none, for each sector on its own. How likely a sector is kept changes with the
/// seed, because many defects show only when nearly all, or nearly nothing, is kept.
void apply_sample(std::vector<std::byte>& image, const PendingSectors& pending, CutChoice choice) {
  Random random(choice.number * 2 + (choice.torn ? 1 : 0));
  static constexpr std::array<std::uint64_t, 4> kept_percent = {50, 10, 90, 97};
  const std::uint64_t percent = kept_percent.at(choice.number % kept_percent.size());
  // Disks write runs: whole blocks live or die together in half of the samples.
  const bool by_block = random.below(2) == 0;
  std::uint64_t block = ~std::uint64_t{0};
  bool kept = false;
  for (const auto& [sector, versions] : pending) {
    constexpr std::uint64_t sectors_per_block = block_size_bytes / sector_size_bytes;
    if (!by_block || sector / sectors_per_block != block) {
      kept = random.below(100) < percent;
      block = sector / sectors_per_block;
    }
    if (kept) {
      put(image, sector,
          random.below(4) == 0 ? versions.at(random.below(versions.size())) : versions.back());
    }
    if (choice.torn && random.below(3) == 0) {
      put(image, sector, versions.at(random.below(versions.size())),
          static_cast<std::size_t>(random.below(sector_size_bytes)));
    }
  }
}

/// Writing what is there already makes no difference, and there is no use in trying both.
bool changes_nothing(const std::vector<std::byte>& durable, std::uint64_t sector,
                     const std::vector<Sector>& versions) {
  const std::uint64_t offset = sector * sector_size_bytes;
  return offset + sector_size_bytes <= durable.size() &&
         std::all_of(versions.begin(), versions.end(), [&](const Sector& version) {
           return std::equal(version.begin(), version.end(),
                             durable.begin() + static_cast<std::ptrdiff_t>(offset));
         });
}

} // namespace

CrashState::CrashState(const SimulatedDisk& disk, const SimulatedOperation* in_flight)
    : durable_(disk.durable()), size_after_bytes_(disk.cache().size()), before_(disk.pending()),
      pending_(before_) {
  if (in_flight == nullptr) {
    return;
  }
  if (in_flight->kind == OperationKind::resize) {
    size_after_bytes_ = std::max(size_after_bytes_, in_flight->length_bytes);
  }
  for (std::size_t done = 0; done < in_flight->data.size(); done += sector_size_bytes) {
    Sector& version = pending_[(in_flight->offset_bytes + done) / sector_size_bytes].emplace_back();
    std::copy_n(in_flight->data.begin() + static_cast<std::ptrdiff_t>(done), sector_size_bytes,
                version.begin());
  }
  std::erase_if(pending_, [&](const auto& entry) {
    return changes_nothing(durable_, entry.first, entry.second);
  });
}

std::uint64_t CrashState::choice_count(std::uint64_t limit) const {
  std::uint64_t count = 1;
  for (const auto& [sector, versions] : pending_) {
    count *= versions.size() + 1;
    if (count > limit) {
      return 0;
    }
  }
  return size_after_bytes_ == durable_.size() ? count : 0;
}

std::vector<std::byte> CrashState::power_cut(CutChoice choice,
                                             std::uint64_t exhaustive_limit) const {
  std::vector<std::byte> image;
  power_cut(choice, exhaustive_limit, image);
  return image;
}

void CrashState::power_cut(CutChoice choice, std::uint64_t exhaustive_limit,
                           std::vector<std::byte>& image) const {
  image = durable_;
  // The new size is there or not; without it nothing beyond the old one is.
  if (size_after_bytes_ > image.size() && choice.number % 2 == 1) {
    image.resize(size_after_bytes_);
  }
  if (!choice.torn && choice_count(exhaustive_limit) != 0) {
    for (const auto& [sector, versions] : pending_) {
      const std::uint64_t version = choice.number % (versions.size() + 1);
      choice.number /= versions.size() + 1;
      if (version != 0) {
        put(image, sector, versions.at(version - 1));
      }
    }
  } else if (!choice.torn && choice.number <= 2) {
    for (const auto& [sector, versions] : pending_) {
      if (choice.number == 1 || (choice.number == 2 && is_in_flight(sector))) {
        put(image, sector, versions.back());
      }
    }
  } else {
    apply_sample(image, pending_, choice);
  }
}

bool CrashState::is_in_flight(std::uint64_t sector) const {
  const auto earlier = before_.find(sector);
  return earlier == before_.end() || pending_.at(sector).size() > earlier->second.size();
}

std::shared_ptr<SimulatedDisk> CrashState::process_death(std::uint64_t seed) const {
  Random random(seed);
  PendingSectors left = before_;
  for (const auto& [sector, versions] : pending_) {
    if (is_in_flight(sector) && (seed == 1 || random.below(2) == 0)) {
      left[sector].push_back(versions.back());
    }
  }
  std::vector<std::byte> durable = durable_;
  durable.resize(size_after_bytes_);
  return std::make_shared<SimulatedDisk>(std::move(durable), left);
}

} // namespace vnvram::test
