#include "soak/soak_workload.h"

#include <algorithm>
#include <array>

#include <fmt/core.h>

#include "support/random.h"

namespace vnvram::test {
namespace {

using Action = Transaction::Action;

constexpr std::uint64_t whole_size_max_bytes = 20'000;
constexpr std::uint64_t range_size_max_bytes = 100'000;
constexpr std::uint64_t small_size_max_bytes = 300;

std::string name_of(unsigned thread, const char* part) {
  return fmt::format("{}.{}", thread, part);
}

BlobSpec spec_of(unsigned thread, const char* part, std::uint64_t size_max_bytes) {
  BlobSpec spec;
  spec.name = name_of(thread, part);
  spec.type = "soak";
  spec.size_max_bytes = size_max_bytes;
  spec.producer = "soak";
  return spec;
}

SoakOperation::Update whole(Random& random, unsigned thread, const char* part,
                            std::uint64_t size_max_bytes) {
  return {name_of(thread, part), Action::write, 0, random.bytes(random.below(size_max_bytes + 1))};
}

SoakOperation::Update range(Random& random, unsigned thread) {
  const std::uint64_t offset = random.below(range_size_max_bytes - 1);
  const std::uint64_t length =
      1 + random.below(std::min<std::uint64_t>(range_size_max_bytes - offset, 9'000));
  if (random.below(8) == 0) {
    return {name_of(thread, "range"), Action::zero_range, offset, std::vector<std::byte>(length)};
  }
  return {name_of(thread, "range"), Action::write_range, offset, random.bytes(length)};
}

Transaction transaction_of(const SoakOperation& operation) {
  Transaction transaction;
  for (const SoakOperation::Update& update : operation.updates) {
    switch (update.action) {
    case Action::write: transaction.write(update.blob, update.bytes); break;
    case Action::write_range:
      transaction.write_range(update.blob, update.offset_bytes, update.bytes);
      break;
    case Action::zero_range:
      transaction.zero_range(update.blob, update.offset_bytes, update.bytes.size());
      break;
    case Action::set_size: transaction.set_size(update.blob, update.offset_bytes); break;
    }
  }
  return transaction;
}

} // namespace

std::vector<BlobSpec> soak_blobs() {
  std::vector<BlobSpec> specs;
  for (unsigned thread = 0; thread < soak_thread_count; ++thread) {
    specs.push_back(spec_of(thread, "whole", whole_size_max_bytes));
    specs.push_back(spec_of(thread, "range", range_size_max_bytes));
    specs.push_back(spec_of(thread, "small", small_size_max_bytes));
  }
  return specs;
}

SoakOperation soak_operation(std::uint64_t seed, unsigned thread, std::uint64_t number) {
  Random random((seed * 1'000'003U + thread) * 1'000'000'007U + number);
  SoakOperation operation;
  const std::uint64_t draw = random.below(100);
  if (draw < 30) {
    operation.updates = {whole(random, thread, "small", small_size_max_bytes)};
  } else if (draw < 45) {
    operation.updates = {whole(random, thread, "whole", whole_size_max_bytes)};
  } else if (draw < 70) {
    operation.updates = {range(random, thread)};
  } else if (draw < 90) { // All of the thread's blobs: all there, or none.
    operation.updates = {whole(random, thread, "whole", 3'000), range(random, thread),
                         whole(random, thread, "small", small_size_max_bytes)};
  } else if (draw < 94) {
    operation.updates = {
        {name_of(thread, "range"), Action::set_size, random.below(range_size_max_bytes + 1), {}}};
  } else if (draw < 96) {
    operation.kind = SoakOperation::Kind::register_blob;
    operation.spec = spec_of(thread, "extra", 1 + random.below(9'000));
  } else if (draw < 98) {
    operation.kind = SoakOperation::Kind::remove_blob;
    operation.spec = spec_of(thread, "extra", 1);
  } else {
    operation.kind = SoakOperation::Kind::checkpoint;
  }
  return operation;
}

Status carry_out(Store& store, const SoakOperation& operation) {
  switch (operation.kind) {
  case SoakOperation::Kind::updates: return store.commit(transaction_of(operation));
  case SoakOperation::Kind::register_blob: return store.register_blobs(std::array{operation.spec});
  case SoakOperation::Kind::remove_blob: {
    Status removed = store.remove_blob(operation.spec.name);
    return !removed && removed.error().kind() == ErrorKind::not_found ? Status{} : removed;
  }
  case SoakOperation::Kind::checkpoint: return store.checkpoint();
  }
  return {};
}

SoakState soak_state(unsigned thread) {
  return {{name_of(thread, "whole"), {}},
          {name_of(thread, "range"), {}},
          {name_of(thread, "small"), {}}};
}

void apply_operation(const SoakOperation& operation, SoakState& state) {
  if (operation.kind == SoakOperation::Kind::register_blob) {
    state.try_emplace(operation.spec.name);
  } else if (operation.kind == SoakOperation::Kind::remove_blob) {
    state.erase(operation.spec.name);
  }
  for (const SoakOperation::Update& update : operation.updates) {
    std::vector<std::byte>& bytes = state.at(update.blob);
    switch (update.action) {
    case Action::write: bytes = update.bytes; break;
    case Action::write_range:
    case Action::zero_range: // Its bytes are zeros.
      bytes.resize(std::max<std::size_t>(bytes.size(), update.offset_bytes + update.bytes.size()));
      std::copy(update.bytes.begin(), update.bytes.end(),
                bytes.begin() + static_cast<std::ptrdiff_t>(update.offset_bytes));
      break;
    case Action::set_size: bytes.resize(update.offset_bytes); break;
    }
  }
}

Result<SoakState> read_soak_state(Store& store, unsigned thread) {
  SoakState state;
  for (const BlobInfo& info : store.blobs()) {
    if (info.name.starts_with(name_of(thread, ""))) {
      auto bytes = store.read(info.name);
      if (!bytes) {
        return bytes.error();
      }
      state.emplace(info.name, *std::move(bytes));
    }
  }
  return state;
}

} // namespace vnvram::test
