#include "fuzz/capi_session.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/core.h>

#include "fuzz/c_specs.h"
#include "fuzz/require.h"
#include "fuzz/wait_readable.h"
#include "support/random.h"

namespace vnvram::fuzz {
namespace {

constexpr std::size_t updates_max = 6;
constexpr std::array<std::uint64_t, 4> deferrals_us = {0, 1, 200,
                                                       std::uint64_t{3600} * 1000 * 1000};

void note_result(void* opaque, const vnvram_error* error) {
  auto* pending = static_cast<Pending*>(opaque);
  const int result = error == nullptr ? VNVRAM_OK : vnvram_error_kind(error);
  require(pending->result.exchange(result) == Pending::waiting, "a callback is called once");
  pending->result.notify_all();
}

bool any_must_know(const std::vector<ModelSpec>& specs) {
  return std::ranges::any_of(specs, &ModelSpec::must_know);
}

} // namespace

std::string CapiSession::name(FuzzInput& input) {
  static const std::array<std::string, 12> names = {
      "a", "b", "tpm2.permanent",     "x/y+z@1-",           "c", "d",
      "e", "f", std::string(63, 'l'), std::string(64, 'm'), "",  "no\nname"};
  return names.at(input.below(names.size()));
}

std::vector<ModelSpec> CapiSession::specs(FuzzInput& input) {
  std::vector<ModelSpec> result;
  for (std::size_t count = input.below(4); count > 0; --count) {
    const std::uint8_t kind = input.byte();
    ModelSpec spec{name(input), kind % 8 == 0 ? "other" : "test", input.word(), kind % 16 == 1};
    spec.size_max = kind % 32 == 2 ? input.number64() : spec.size_max % (blob_size_max + 2000);
    result.push_back(std::move(spec));
  }
  return result;
}

ModelUpdate CapiSession::update(FuzzInput& input, ModelUpdate::Action action) {
  ModelUpdate result{action, name(input)};
  if (action != ModelUpdate::Action::write) {
    const std::uint16_t offset = input.word();
    result.offset = offset == 0xffff ? input.number64() : offset % (blob_size_max + 10);
  }
  if (action == ModelUpdate::Action::zero_range) {
    const std::uint16_t zeros = input.word();
    result.zeros = zeros == 0xffff ? input.number64() : zeros % (blob_size_max + 10);
  } else if (action != ModelUpdate::Action::set_size) {
    // Literally, or many bytes made of two.
    const std::uint8_t length = input.byte();
    if (length < 0x80) {
      const auto bytes = input.bytes(length);
      result.bytes.assign(bytes.begin(), bytes.end());
    } else {
      result.bytes = test::Random(length).bytes(input.word() % (blob_size_max + 10));
    }
  }
  return result;
}

Kinds CapiSession::with_store(Kinds otherwise, bool writes) const {
  if (mode_ == Mode::closed) {
    return {VNVRAM_INVALID_ARGUMENT}; // The store is NULL.
  }
  return writes && mode_ == Mode::read_only ? Kinds{VNVRAM_READ_ONLY} : std::move(otherwise);
}

vnvram_info CapiSession::info() const {
  vnvram_info info{};
  info.struct_size = sizeof info;
  ErrorSlot error;
  error.judge(vnvram_store_info(store_, &info, error.out()), {VNVRAM_OK}, "vnvram_store_info");
  require(info.poisoned == 0, "a healthy device poisons no store");
  return info;
}

void CapiSession::open(FuzzInput& input) {
  if (mode_ != Mode::closed) {
    close();
  }
  const std::uint8_t choice = input.byte();
  const std::uint32_t flags = choice % 32U;
  const bool read_only = (flags & VNVRAM_OPEN_READ_ONLY) != 0;
  const auto wanted = read_only ? std::vector<ModelSpec>() : specs(input);
  const CSpecs given(wanted);
  vnvram_open_options options{};
  options.struct_size = sizeof options;
  options.deferral_us = deferrals_us.at(choice / 32U % deferrals_us.size());
  if (choice >= 128) { // A program that knows nothing of it.
    options.struct_size = offsetof(vnvram_open_options, deferral_us);
    options.deferral_us = ~std::uint64_t{0};
  }
  options.flags = flags;
  options.cache_size = input.word();
  options.blobs = given.data();
  options.blob_count = given.size();
  const char* known = model_attribute;
  options.known_attributes = &known;
  options.known_attribute_count = input.below(2);
  ErrorSlot error;
  if (!error.judge(vnvram_open(path_.c_str(), &options, &store_, error.out()),
                   model_.can_register(wanted, 0), "vnvram_open")) {
    require(store_ == nullptr, "no store comes with an error");
    return;
  }
  mode_ = read_only ? Mode::read_only : Mode::read_write;
  read_only_content_ = read_only ? file_content() : std::string();
  knows_ = options.known_attribute_count > 0 || any_must_know(wanted);
  model_.register_blobs(wanted);
  require(info().blob_size_max == blob_size_max, "the model knows what the ring allows");
}

void CapiSession::close() {
  ErrorSlot error;
  error.judge(vnvram_close(std::exchange(store_, nullptr), error.out()), {VNVRAM_OK},
              "vnvram_close");
  require(mode_ != Mode::read_only || file_content() == read_only_content_,
          "who reads changes nothing, whatever was called");
  mode_ = Mode::closed;
  for (const auto& [pending, allowed] : pending_) {
    const int result = pending.result;
    require(result != Pending::waiting && allowed.contains(static_cast<vnvram_kind>(result)),
            fmt::format("after close a commit has ended as it may: {}", result));
  }
  pending_.clear();
}

void CapiSession::register_blobs(FuzzInput& input) {
  const auto wanted = specs(input);
  const CSpecs given(wanted);
  const std::uint64_t space_free = mode_ == Mode::closed ? 0 : info().space_free;
  ErrorSlot error;
  if (error.judge(vnvram_register(store_, given.data(), given.size(), error.out()),
                  with_store(model_.can_register(wanted, space_free), true), "vnvram_register")) {
    model_.register_blobs(wanted);
    knows_ = knows_ || any_must_know(wanted);
  }
}

void CapiSession::remove(FuzzInput& input) {
  const std::string blob = name(input);
  ErrorSlot error;
  if (error.judge(vnvram_remove(store_, blob.c_str(), error.out()),
                  with_store(model_.can_remove(blob), true), "vnvram_remove")) {
    model_.remove(blob);
  }
}

void CapiSession::write(FuzzInput& input) {
  const bool range = input.below(2) == 1;
  const ModelUpdate change =
      update(input, range ? ModelUpdate::Action::write_range : ModelUpdate::Action::write);
  const Kinds allowed = with_store(model_.can_commit({change}, knows_), true);
  ErrorSlot error;
  const vnvram_kind result =
      range ? vnvram_write_range(store_, change.blob.c_str(), change.offset, change.bytes.data(),
                                 change.bytes.size(), error.out())
            : vnvram_write(store_, change.blob.c_str(), change.bytes.data(), change.bytes.size(),
                           error.out());
  if (error.judge(result, allowed, "vnvram_write")) {
    model_.commit({change});
  }
}

void CapiSession::write_deferred(FuzzInput& input) {
  const bool zero = input.below(2) == 1;
  const ModelUpdate change =
      update(input, zero ? ModelUpdate::Action::zero_range : ModelUpdate::Action::write_range);
  settle(); // With commits that are under way it has no order.
  const Kinds allowed = with_store(model_.can_commit({change}, knows_), true);
  ErrorSlot error;
  const vnvram_kind result =
      zero ? vnvram_zero_range_deferred(store_, change.blob.c_str(), change.offset, change.zeros,
                                        error.out())
           : vnvram_write_range_deferred(store_, change.blob.c_str(), change.offset,
                                         change.bytes.data(), change.bytes.size(), error.out());
  if (error.judge(result, allowed, "vnvram_..._range_deferred")) {
    model_.defer(change);
  }
}

/// All that was written is on the image afterwards.
void CapiSession::flush() {
  settle();
  ErrorSlot error;
  error.judge(vnvram_flush(store_, error.out()), with_store({VNVRAM_OK}, false), "vnvram_flush");
}

void CapiSession::adopt() {
  ErrorSlot error;
  error.judge(vnvram_adopt_after_fork(store_, error.out()), with_store({VNVRAM_OK}, true),
              "vnvram_adopt_after_fork");
}

void CapiSession::add_update(FuzzInput& input) {
  const auto change = update(input, static_cast<ModelUpdate::Action>(input.below(4)));
  ErrorSlot error;
  if (transaction_ == nullptr) {
    error.judge(vnvram_transaction_begin(&transaction_, error.out()), {VNVRAM_OK},
                "vnvram_transaction_begin");
  }
  if (updates_.size() == updates_max) {
    return;
  }
  const char* blob = change.blob.c_str();
  vnvram_kind result = VNVRAM_OK;
  switch (change.action) {
  case ModelUpdate::Action::write:
    result = vnvram_transaction_write(transaction_, blob, change.bytes.data(), change.bytes.size(),
                                      error.out());
    break;
  case ModelUpdate::Action::write_range:
    result = vnvram_transaction_write_range(transaction_, blob, change.offset, change.bytes.data(),
                                            change.bytes.size(), error.out());
    break;
  case ModelUpdate::Action::set_size:
    result = vnvram_transaction_set_size(transaction_, blob, change.offset, error.out());
    break;
  case ModelUpdate::Action::zero_range:
    result =
        vnvram_transaction_zero_range(transaction_, blob, change.offset, change.zeros, error.out());
    break;
  }
  error.judge(result, {VNVRAM_OK}, "vnvram_transaction_...");
  updates_.push_back(change);
}

void CapiSession::commit(bool wait) {
  const auto updates = std::exchange(updates_, {});
  vnvram_transaction* transaction = std::exchange(transaction_, nullptr);
  Kinds allowed = with_store(model_.can_commit(updates, knows_), true);
  if (transaction == nullptr) {
    allowed = {VNVRAM_INVALID_ARGUMENT};
  } else if (allowed == Kinds{VNVRAM_READ_ONLY} && updates.empty()) {
    allowed.insert(VNVRAM_OK);
  }
  ErrorSlot error;
  if (wait) {
    if (error.judge(vnvram_commit(store_, transaction, error.out()), allowed, "vnvram_commit")) {
      model_.commit(updates);
    }
    return;
  }
  const bool accepted = transaction != nullptr && mode_ != Mode::closed;
  auto& [pending, its_allowed] = pending_.emplace_back();
  its_allowed = allowed;
  error.judge(vnvram_commit_async(store_, transaction, note_result, &pending, error.out()),
              {accepted ? VNVRAM_OK : VNVRAM_INVALID_ARGUMENT}, "vnvram_commit_async");
  if (!accepted) {
    pending_.pop_back();
  } else if (allowed == Kinds{VNVRAM_OK}) {
    model_.commit(updates);
  } else if (allowed.contains(VNVRAM_OK)) {
    settle(); // Only the engine knows whether it fits.
    if (last_result_ == VNVRAM_OK) {
      model_.commit(updates);
    }
  }
}

/// Waits for the asynchronous commits.
void CapiSession::settle() {
  for (auto& [pending, allowed] : pending_) {
    while (pending.result == Pending::waiting) {
      if (vnvram_event_fd(store_) < 0) {
        pending.result.wait(Pending::waiting);
        continue;
      }
      require(wait_readable(vnvram_event_fd(store_)), "a commit ends");
      vnvram_dispatch(store_);
    }
    last_result_ = static_cast<vnvram_kind>(pending.result.load());
    require(
        allowed.contains(last_result_),
        fmt::format("an asynchronous commit may not end with {}", vnvram_kind_name(last_result_)));
  }
  pending_.clear();
}

void CapiSession::call_wrongly(FuzzInput& input) {
  const Kinds wrong = {VNVRAM_INVALID_ARGUMENT};
  ErrorSlot error;
  vnvram_blob_info info{};
  info.struct_size = input.word() % (sizeof info);
  vnvram_open_options options{};
  options.struct_size = input.word() % (sizeof options);
  if (options.struct_size == offsetof(vnvram_open_options, deferral_us)) {
    options.struct_size = 0; // That was its size once.
  }
  vnvram_open_options never{};
  never.struct_size = sizeof never;
  never.deferral_us = ~std::uint64_t{0};
  vnvram_store* none = nullptr;
  vnvram_kind result = VNVRAM_INVALID_ARGUMENT;
  switch (input.below(14)) {
  case 0: result = vnvram_write(store_, nullptr, "x", 1, error.out()); break;
  case 1: result = vnvram_write(store_, "a", nullptr, 1, error.out()); break;
  case 2: result = vnvram_read(store_, "a", nullptr, nullptr, error.out()); break;
  case 3: result = vnvram_read_range(store_, "a", 0, nullptr, 1, error.out()); break;
  case 4: result = vnvram_register(store_, nullptr, 1, error.out()); break;
  case 5: result = vnvram_list(store_, nullptr, error.out()); break;
  case 6: result = vnvram_open(path_.c_str(), &options, &none, error.out()); break;
  case 7: result = vnvram_open(nullptr, nullptr, &none, error.out()); break;
  case 8: result = vnvram_transaction_write(transaction_, nullptr, "x", 1, error.out()); break;
  case 9:
    if (!model_.blobs().empty()) {
      result = vnvram_blob(store_, model_.blobs().begin()->first.c_str(), &info, error.out());
    }
    break;
  case 10: result = vnvram_write_range_deferred(store_, "a", 0, nullptr, 1, error.out()); break;
  case 11: result = vnvram_zero_range_deferred(store_, nullptr, 0, 1, error.out()); break;
  case 12: result = vnvram_transaction_zero_range(nullptr, "a", 0, 1, error.out()); break;
  case 13: result = vnvram_open(path_.c_str(), &never, &none, error.out()); break;
  default: break;
  }
  require(wrong.contains(result) && none == nullptr, "what can never be right is refused");
}

void CapiSession::step(FuzzInput& input) {
  switch (input.below(24)) {
  case 0:
  case 1: open(input); break;
  case 2: close(); break;
  case 3:
  case 4: register_blobs(input); break;
  case 5: remove(input); break;
  case 6:
  case 7: write(input); break;
  case 8:
  case 9: add_update(input); break;
  case 10: commit(true); break;
  case 11: commit(false); break;
  case 12: vnvram_dispatch(store_); break;
  case 13: compare(); break;
  case 14: compare_range(input); break;
  case 15: compare_with_a_copy(); break;
  case 16: check_image(); break;
  case 17: input.below(2) == 0 ? resize(input) : try_create(input); break;
  case 18: open_beside(input); break;
  case 19:
    if (input.below(2) == 0) {
      call_wrongly(input);
    } else {
      ErrorSlot error;
      error.judge(vnvram_checkpoint(store_, error.out()), with_store({VNVRAM_OK}, true),
                  "vnvram_checkpoint");
    }
    break;
  case 20:
  case 21: write_deferred(input); break;
  case 22: flush(); break;
  case 23: adopt(); break;
  default: break;
  }
}

} // namespace vnvram::fuzz
