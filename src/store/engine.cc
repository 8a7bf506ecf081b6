#include "store/engine.h"

#include <algorithm>
#include <exception>

#include <fmt/core.h>

#include "base/barrier.h"
#include "store/registration.h"
#include "store/superblock_reader.h"
#include "store/third_copy.h"

namespace vnvram {

Engine::Engine(std::unique_ptr<BlockDevice> device, const format::Superblock& superblock,
               OpenOptions options)
    : device_(std::move(device)), options_(std::move(options)), owner_watch_(*device_),
      checkpoint_mode_(checkpoint_mode_for(device_->capabilities(), options_)), codec_(superblock),
      geometry_(format::geometry_of(superblock)),
      pages_(*device_, superblock, codec_,
             std::max(options_.cache_size_bytes, cache_size_bytes_min)),
      stage_(pages_, geometry_.record_block_count_max()), epoch_number_(superblock.epoch_number),
      epoch_random_(superblock.epoch_random), known_attributes_(options_.known_attributes),
      directory_(geometry_.page_count()), ring_(ring_start(superblock)), superblock_(superblock),
      deferred_(deferred_limits(geometry_, pages_.cache_size_bytes())),
      sealed_((superblock.features_must_know & format::feature_sealed) != 0),
      completions_(options_.callbacks),
      queue_(
          [this](std::span<CommitQueue::Request* const> waiting) { return commit_round(waiting); },
          [this](Completions::Prepared answer) { completions_.deliver(std::move(answer)); }),
      deferral_clock_([this] { commit_overdue(); }) {
  know_attributes_of(options_.blobs);
  const Result<std::uint64_t> size = device_->size_bytes();
  device_block_count_ = size ? *size / block_size_bytes : superblock.image_block_count;
}

Engine::~Engine() {
  const Status closed = close(); // Whoever wants to know called close() before.
  static_cast<void>(closed);
}

// ---- Committing
// -----------------------------------------------------------------------------------

Error sealed_error(const std::string& name, std::uint64_t generation) {
  return {ErrorKind::sealed,
          fmt::format("{}: sealed at generation {}, since its state was handed over to another "
                      "machine, or is in a snapshot or file",
                      name, generation),
          "if that one does not have it, or is not to go on: vnvram unseal"};
}

std::optional<Error> Engine::reason_to_refuse() const {
  if (!writes()) {
    return Error{ErrorKind::read_only, fmt::format("{}: opened read-only", device_->name())};
  }
  if (poisoned_) {
    return Error{ErrorKind::poisoned,
                 fmt::format("{}: no commit since an earlier failure: {}", device_->name(),
                             poisoned_->cause()),
                 "mend the device, then open the image again"};
  }
  return std::nullopt;
}

// Who was answered before the image was sealed is still written.
Status Engine::refuse_any_write() const {
  const std::lock_guard lock(mutex_);
  const std::optional<Error> reason = reason_to_refuse();
  return reason ? Status(*reason) : Status{};
}

Status Engine::refuse_commit() const {
  const Status refused = refuse_any_write();
  const std::lock_guard lock(mutex_);
  return refused && sealed_ ? Status(sealed_error(device_->name(), ring_.sequence)) : refused;
}

Status Engine::commit(const Transaction& transaction) {
  CommitQueue::Request request;
  request.transaction = &transaction;
  return queue_.run(request);
}

void Engine::commit_async(Transaction transaction, CommitCallback callback) {
  if (options_.background) {
    completions_.start();
    queue_.run_async(std::move(transaction), std::move(callback));
    return;
  }
  Status result = commit(transaction);
  if (callback != nullptr && options_.callbacks == CallbackMode::event_fd) {
    completions_.deliver({{std::move(callback), std::move(result)}});
  } else if (callback != nullptr) {
    callback(std::move(result));
  }
}

namespace {

bool is_flush(const CommitQueue::Request& request) {
  return request.transaction != nullptr && request.transaction->empty();
}

} // namespace

// A round that is left by an exception would leave all others waiting for ever.
std::size_t Engine::commit_round(std::span<CommitQueue::Request* const> waiting) {
  try {
    return carry_out(waiting);
  } catch (const std::exception& failure) { // Memory: nobody knows how far it came.
    const Error poisoned = poison(failure, "a commit");
    for (CommitQueue::Request* request : waiting) {
      request->result = poisoned;
    }
    return waiting.size();
  }
}

std::size_t Engine::carry_out(std::span<CommitQueue::Request* const> waiting) {
  const Status allowed = refuse_commit(); // Once: who seals the image now waits for this round.
  Status ready = begin_round(*waiting.front());
  if (ready && !allowed) {
    ready = commit_deferred();
  }
  if (!ready || !allowed) {
    for (CommitQueue::Request* request : waiting) {
      // A flush of a sealed image has nothing left to do.
      request->result = ready && !is_flush(*request) ? allowed : ready;
    }
    return waiting.size();
  }
  const std::size_t count = waiting.front()->transaction == nullptr
                                ? change_directory(*waiting.front())
                                : stage_group(waiting);
  bool due = false;
  {
    const std::lock_guard lock(mutex_);
    due = checkpoint_is_due();
  }
  if (due && checkpoint_mode_ != CheckpointMode::for_room) {
    request_checkpoint();
  }
  return count;
}

// What was deferred before is in the stage then, or on the image already.
Status Engine::begin_round(const CommitQueue::Request& first) {
  const Status refused = refuse_any_write();
  if (!refused) {
    return refused;
  }
  stage_.begin(ring_.sequence + 1);
  bool left_over = false;
  {
    const std::lock_guard lock(mutex_);
    left_over = kept(Barrier::deferred_in_turn) && deferred_.is_taken();
  }
  Status staged;
  if (left_over) { // By a record that failed. What was collected since comes behind it.
    staged = stage_deferred();
    staged = staged ? commit_deferred() : staged;
  }
  if (staged && (kept(Barrier::deferred_first) || is_flush(first))) {
    staged = stage_deferred();
  }
  return staged;
}

// A directory change has a record of its own: it replaces the directory as a whole.
std::size_t Engine::change_directory(CommitQueue::Request& request) {
  request.result = commit_deferred();
  if (!request.result) {
    return 1;
  }
  Directory changed = directory_;
  const Status staged = request.directory_change(changed, stage_);
  request.result = staged ? Status{} : Status(of_this_image(staged.error()));
  if (request.result && !stage_.fits()) {
    request.result =
        Error{ErrorKind::too_large,
              fmt::format("{}: too much for one transaction of this ring", device_->name()),
              "register fewer blobs at a time"};
  }
  if (request.result && !stage_.empty()) {
    request.result = write_record(&changed);
  } else if (request.result) {
    const std::lock_guard lock(mutex_); // What only this process knows: who writes from now on.
    directory_ = std::move(changed);
  }
  return 1;
}

std::size_t Engine::stage_group(std::span<CommitQueue::Request* const> waiting) {
  std::size_t count = add_to_stage(waiting);
  if (count == 0) { // The first of them does not fit beside what was deferred.
    const Status written = commit_deferred();
    if (!written) {
      waiting.front()->result = written;
      return 1;
    }
    count = add_to_stage(waiting);
  }
  const Status written = stage_.empty() ? Status{} : write_record();
  for (std::size_t i = 0; i < count && !written; ++i) {
    waiting[i]->result = waiting[i]->result ? written : waiting[i]->result;
  }
  return count;
}

// As many as one record holds.
std::size_t Engine::add_to_stage(std::span<CommitQueue::Request* const> waiting) {
  std::size_t count = 0;
  for (; count < waiting.size() && waiting[count]->transaction != nullptr; ++count) {
    bool record_full = false;
    Status added =
        stage_.add(*waiting[count]->transaction, directory_, known_attributes_, record_full);
    if (record_full) {
      break;
    }
    waiting[count]->result = added ? Status{} : Status(of_this_image(added.error()));
  }
  return count;
}

Result<RingPlace> Engine::wait_for_room(std::uint32_t block_count) {
  std::unique_lock lock(mutex_);
  for (;;) {
    if (poisoned_) {
      lock.unlock();
      return refuse_commit().error();
    }
    const RingPlace place = ring_place(ring_, block_count, geometry_.ring_block_count());
    if (ring_.used_blocks + place.cost_blocks <= geometry_.ring_block_count() &&
        pages_.dirty_size_bytes() < pages_.cache_size_bytes()) {
      return place;
    }
    if (start_checkpointer()) {
      const std::uint64_t checkpoints = checkpoint_count_;
      checkpoint_requested_ = true;
      checkpoint_wake_.notify_one();
      room_.wait(lock, [&] { return checkpoint_count_ != checkpoints || poisoned_; });
    } else {
      lock.unlock();
      const Status done = run_checkpoint(false);
      if (!done) {
        return done.error();
      }
      lock.lock();
    }
  }
}

// What an opening needs and what a clean end does is left over, always.
Status Engine::refuse_worn_counters() const {
  const std::lock_guard lock(mutex_);
  return check_counters(device_->name(), superblock_, ring_.sequence);
}

Status Engine::write_record(Directory* changed_directory) {
  const Status countable = refuse_worn_counters();
  if (!countable) {
    return countable;
  }
  format::RecordBuilder& builder = stage_.builder();
  const Result<RingPlace> place = wait_for_room(builder.block_count());
  if (!place) {
    return place.error();
  }
  // A long record may begin anew at the ring's start, and end where another owner's first one is.
  const bool long_record = 4 * builder.block_count() > geometry_.ring_block_count();
  if (owner_watch_.looks_first() ||
      (long_record && owner_watch_.timing() == OwnerWatch::Timing::with_commit)) {
    const Status still_ours = check_owner();
    if (!still_ours && owner_watch_.timing() == OwnerWatch::Timing::with_commit) {
      return poison(still_ours.error(), "a commit"); // As the look that goes with the record does.
    }
    if (!still_ours) {
      return still_ours;
    }
  }
  // INV3a: all of it is one record.
  std::uint64_t checksum = 0;
  const std::span<const std::byte> record = builder.finish(
      {epoch_number_, epoch_random_, stage_.generation(), ring_.chain}, codec_, checksum);
  const std::uint64_t offset_bytes =
      format::Geometry::ring_block(place->position) * block_size_bytes;
  blocks_since_opening_ += place->cost_blocks;
  if (2 * blocks_since_opening_ > geometry_.ring_block_count()) {
    owner_watch_.wait_for_overtaken();
  }
  const Status written = put_record(offset_bytes, record);
  if (!written) {
    return written;
  }
  install(*place, checksum, changed_directory); // INV1a: not before the record is durable.
  return {};
}

// INV7a: where a look at the superblocks can be under way together with the record it is, and
// neither alone is enough for the caller to be answered. What an owner that was overtaken has
// written then is a record of another epoch than the image's: it counts for nobody.
Status Engine::put_record(std::uint64_t offset_bytes, std::span<const std::byte> record) {
  if (!kept(Barrier::commit_durability) || !kept(Barrier::owner_check) || !has_superblock_ ||
      owner_watch_.timing() != OwnerWatch::Timing::with_commit) {
    const Status written = kept(Barrier::commit_durability)
                               ? device_->write_durable(offset_bytes, record)
                               : device_->write(offset_bytes, record);
    return written ? written : Status(poison(written.error(), "a commit"));
  }
  format::Superblock own;
  {
    const std::lock_guard lock(mutex_);
    own = superblock_;
  }
  bool looked = false;
  const Status done =
      owner_watch_.look_and_write(own, "this commit does not count", offset_bytes, record, looked);
  return done ? done : Status(poison(done.error(), looked ? "ownership" : "a commit"));
}

// Poisons if it is not ours any more; not to know is an error, and no more.
Status Engine::check_owner() {
  if (!kept(Barrier::owner_check) || !has_superblock_) {
    return {};
  }
  format::Superblock own;
  {
    const std::lock_guard lock(mutex_);
    own = superblock_;
  }
  Status looked = owner_watch_.look(own, "nothing was written");
  if (!looked &&
      (looked.error().kind() == ErrorKind::in_use || looked.error().kind() == ErrorKind::stale)) {
    return poison(looked.error(), "ownership");
  }
  return looked;
}

// The record is durable: now memory may know of it. What needs memory comes first and changes
// nothing that a reader sees if there is none; behind the pages, nothing needs any.
void Engine::install(const RingPlace& place, std::uint64_t checksum, Directory* changed_directory) {
  const std::vector<PageUpdate> updates = stage_.take_pages();
  stage_.prepare_blob_changes();
  const std::lock_guard lock(mutex_);
  pages_.install(updates);
  install_changes(place, checksum, changed_directory);
}

void Engine::install_changes(const RingPlace& place, std::uint64_t checksum,
                             Directory* changed_directory) noexcept {
  const std::uint32_t block_count = stage_.builder().block_count();
  stage_.apply_blob_changes();
  deferred_.taken_is_durable(); // It is the first that every record holds.
  if (changed_directory != nullptr) {
    directory_ = std::move(*changed_directory); // With its pages: readers see both or neither.
    deferred_.keep_only([&](std::string_view name) { return directory_.find(name) != nullptr; });
  }
  ring_.position = (place.position + block_count) % geometry_.ring_block_count();
  ring_.used_blocks += place.cost_blocks;
  ring_.sequence = stage_.generation();
  ring_.chain = checksum;
  ++commit_count_;
  start_checkpointer();
  if (ring_.used_blocks == place.cost_blocks) {
    checkpoint_wake_.notify_one(); // The first since a checkpoint: the idle clock starts.
  }
}

Error Engine::poison(const Error& cause, std::string_view during) {
  const std::lock_guard lock(mutex_);
  if (!poisoned_) {
    poisoned_ =
        Error{cause.kind(), fmt::format("{} failed: {}", during, cause.cause()), cause.remedy()};
  }
  room_.notify_all();
  return {cause.kind(), poisoned_->cause(),
          cause.remedy().empty()
              ? "it may or may not be on the image; mend the device, then open the image again"
              : cause.remedy()};
}

Error Engine::poison(const std::exception& failure, std::string_view during) {
  const Error cause(ErrorKind::io, fmt::format("{}: {}", device_->name(), failure.what()),
                    "open the image again");
  return poison(cause, during);
}

// Whoever looks at blobs and pages only does not know where they are.
Error Engine::of_this_image(const Error& error) const {
  const std::string name = device_->name();
  return error.cause().starts_with(name)
             ? error
             : Error(error.kind(), fmt::format("{}: {}", name, error.cause()), error.remedy());
}

Status Engine::run_directory_change(CommitQueue::DirectoryChange change) {
  CommitQueue::Request request;
  request.directory_change = std::move(change);
  return queue_.run(request);
}

Status Engine::register_blobs(std::span<const BlobSpec> specs) {
  return run_directory_change([&](Directory& directory, Stage& stage) {
    const Status registered = register_in(directory, stage, specs, geometry_);
    if (registered) {
      know_attributes_of(specs);
    }
    return registered;
  });
}

Status Engine::register_blobs(std::span<const NewBlob> blobs) {
  return run_directory_change([&](Directory& directory, Stage& stage) {
    const std::vector<BlobSpec> specs = specs_of(blobs);
    const Status registered = register_in(directory, stage, specs, geometry_);
    if (!registered) {
      return registered;
    }
    know_attributes_of(specs);
    Transaction contents;
    for (const NewBlob& blob : blobs) {
      if (blob.content && directory.find(blob.spec.name)->info.generation == 0) {
        contents.write(blob.spec.name, std::span<const std::byte>(*blob.content));
      }
    }
    bool record_full = false; // A record of its own has all the room that there is.
    return stage.add(contents, directory, known_attributes_, record_full);
  });
}

// Whoever registers an attribute knows what it means.
void Engine::know_attributes_of(std::span<const BlobSpec> specs) {
  const std::lock_guard lock(mutex_);
  for (const BlobSpec& spec : specs) {
    for (const Attribute& attribute : spec.attributes) {
      known_attributes_.insert(attribute.name);
    }
  }
}

Status Engine::remove_blob(std::string_view name) {
  return run_directory_change(
      [&](Directory& directory, Stage& stage) { return remove_from(directory, stage, name); });
}

// ---- What it says of itself
// ----------------------------------------------------------------------

std::vector<BlobInfo> Engine::blobs() const {
  const std::lock_guard lock(mutex_);
  std::vector<BlobInfo> infos;
  infos.reserve(directory_.blobs().size());
  for (const auto& [name, blob] : directory_.blobs()) {
    infos.push_back(info_of(blob));
  }
  return infos;
}

Result<BlobInfo> Engine::blob(std::string_view name) const {
  const std::lock_guard lock(mutex_);
  const Blob* blob = directory_.find(name);
  if (blob == nullptr) {
    return Error{ErrorKind::not_found, fmt::format("{}: no blob {}", device_->name(), name),
                 "vnvram ls shows what is there"};
  }
  return info_of(*blob);
}

// Whoever reads so many bytes gets them all.
BlobInfo Engine::info_of(const Blob& blob) const {
  BlobInfo info = blob.info;
  info.size_bytes = deferred_.size_bytes(info.name, info.size_bytes);
  return info;
}

std::uint64_t Engine::image_block_count() const {
  const std::lock_guard lock(mutex_);
  return geometry_.image_block_count();
}

StoreInfo Engine::info() const {
  const std::lock_guard lock(mutex_);
  StoreInfo info;
  info.uuid = superblock_.uuid;
  info.format_version = superblock_.format_version;
  info.generation = ring_.sequence;
  info.epoch = superblock_.epoch_number;
  // With the room behind it that the third superblock is in.
  const bool has_room =
      third_copy_block(geometry_.image_block_count(), device_block_count_).has_value();
  info.image_size_bytes =
      (geometry_.image_block_count() + (has_room ? format::third_copy_blocks_from_end : 0)) *
      block_size_bytes;
  info.ring_size_bytes = std::uint64_t{geometry_.ring_block_count()} * block_size_bytes;
  info.ring_used_bytes = std::uint64_t{ring_.used_blocks} * block_size_bytes;
  info.space_size_bytes = std::uint64_t{geometry_.page_count() - 1} * block_size_bytes;
  info.space_free_bytes = std::uint64_t{directory_.free_page_count()} * block_size_bytes;
  info.blob_size_max_bytes =
      std::min(blob_size_bytes_max,
               format::Geometry::blob_size_bytes_for(geometry_.record_block_count_max()));
  info.blob_count = directory_.blobs().size();
  info.clean = superblock_.clean != 0;
  info.owner_pid = superblock_.owner_pid;
  info.owner_host = superblock_.owner_host.data();
  info.poisoned = poisoned_;
  info.sealed = sealed_;
  info.content_may_change = device_->capabilities().content_may_change;
  return info;
}

// ---- The end
// ------------------------------------------------------------------

Status Engine::close() {
  if (closed_) {
    return {};
  }
  closed_ = true;
  deferral_clock_.stop();
  // A callback may commit again, and such a commit may need the checkpointer.
  std::uint64_t callbacks_run = 0;
  do {
    callbacks_run = completions_.run_count();
    queue_.drain();
    completions_.drain();
  } while (completions_.run_count() != callbacks_run);
  Status done = writes() && kept(Barrier::deferred_at_close) ? flush() : Status{};
  stop_checkpointer();
  const bool created = being_created_;
  being_created_ = false;
  if (writes()) {
    if (done) { // Else it is no clean end.
      done = run_checkpoint(true, [](format::Superblock& superblock) {
        superblock.clean = 1;
        superblock.owner_pid = 0;
        superblock.owner_host = {};
      });
    }
    if (done && kept(Barrier::second_superblock_at_close)) {
      done = write_superblock(superblock_); // Both copies: whichever rots, the other says the same.
    }
    if (done && created) { // The others first: before them there is no image.
      find_third_copy();
      done = write_third_copy(superblock_);
      done = done ? device_->flush() : done;
    }
    device_->unlock();
  }
  return done;
}

} // namespace vnvram
