#include "fuzz/image_exerciser.h"

#include <algorithm>
#include <array>
#include <vector>

#include <fmt/core.h>

#include "fuzz/image_history.h"
#include "fuzz/require.h"
#include "rescue/image_dump.h"
#include "support/image_verdict.h"
#include "support/random.h"
#include "support/temporary_directory.h"
#include "vnvram/open_device.h"
#include "vnvram/rescue.h"
#include "vnvram/store.h"

namespace vnvram::fuzz {
namespace {

// Hostile directories may hold thousands of blobs: of more than these only the first are written.
constexpr std::size_t blobs_written_max = 12;

Result<std::unique_ptr<Store>> open(const std::shared_ptr<MemoryDisk>& disk, Access access,
                                    const KeyRing& keys) {
  OpenOptions options;
  options.access = access;
  options.background = false;
  options.cache_size_bytes = cache_size_min_bytes;
  options.keys = keys;
  return Store::open(std::make_unique<MemoryDevice>(disk, access), std::move(options));
}

bool must_know(const BlobInfo& blob) {
  return std::any_of(blob.attributes.begin(), blob.attributes.end(),
                     [](const Attribute& attribute) { return attribute.must_know; });
}

/// What can be read; `all_must_be_there` if nothing may be missing.
SeenState read_all(Store& store, bool all_must_be_there) {
  SeenState state;
  state.generation = store.info().generation;
  for (const BlobInfo& blob : store.blobs()) {
    Result<std::vector<std::byte>> content = store.read(blob.name);
    if (content.ok()) {
      require(content->size() == blob.size_bytes, blob.name + " is as long as the store says");
      state.contents[blob.name] = *std::move(content);
    } else if (!must_know(blob)) {
      require(!all_must_be_there, "check found nothing wrong, so " + blob.name +
                                      " can be read: " + content.error().text());
    }
    std::array<std::byte, 64> beginning{};
    [[maybe_unused]] const Status read = store.read_range(blob.name, 0, beginning);
  }
  return state;
}

bool is_clean(const std::shared_ptr<MemoryDisk>& disk, const KeyRing& keys) {
  MemoryDevice device(disk, Access::read_only);
  const Result<CheckReport> report = check_image(device, {}, keys);
  [[maybe_unused]] const auto dump = dump_image(device, keys);
  return report.ok() && report->clean();
}

/// New content for each blob, of some length, where the store takes it.
void write_some(Store& store, Contents& acknowledged) {
  test::Random random(store.info().generation);
  std::size_t count = 0;
  for (const BlobInfo& blob : store.blobs()) {
    if (++count > blobs_written_max) {
      return;
    }
    const Bytes content =
        random.bytes(random.below(std::min<std::uint64_t>(blob.size_max_bytes, 10000) + 1));
    if (!store.write(blob.name, content).ok()) {
      continue;
    }
    acknowledged[blob.name] = content;
    const Result<std::vector<std::byte>> read = store.read(blob.name);
    require(read.ok() && *read == content, blob.name + " holds what was written");
  }
}

/// A reader can change nothing, whatever it calls.
void write_read_only(Store& store, MemoryDisk& disk) {
  const Bytes before = disk.bytes();
  const std::array<BlobSpec, 1> added = {{{"fuzz.added", "test", 50, "fuzz", {}}}};
  const std::array<std::byte, 1> content{};
  const auto refused = [](const Status& status) {
    require(!status && status.error().kind() == ErrorKind::read_only,
            "a store that was opened to be read says so to whoever writes");
  };
  refused(store.register_blobs(added));
  refused(store.checkpoint());
  refused(store.seal());
  refused(store.unseal());
  refused(store.adopt_after_fork());
  for (const BlobInfo& blob : store.blobs()) {
    refused(store.write(blob.name, content));
    refused(store.remove_blob(blob.name));
    if (!must_know(blob)) {
      refused(store.write_range_deferred(blob.name, 0, content));
    }
    break;
  }
  require(disk.bytes() == before, "nor does it change anything");
}

/// This content takes the place of another image's that a store has open.
void replace_while_open(const ImageHistory& history, const Bytes& content) {
  const auto disk = std::make_shared<MemoryDisk>(history.last_closed());
  auto store = open(disk, Access::read_write, history.keys());
  require(store.ok(), "a sound image opens");
  const std::string blob = (*store)->blobs().front().name;
  const std::array<std::byte, 2> bytes = {std::byte{0xAB}, std::byte{0xCD}};
  require((*store)->write_range(blob, 0, std::span(bytes).first(1)).ok(), "and takes a commit");
  disk->bytes() = content;
  disk->bytes().resize(std::max<std::size_t>(content.size(), 2 * block_size_bytes));
  const Bytes before = disk->bytes();
  require(!(*store)->write_range(blob, 1, std::span(bytes).last(1)).ok(),
          "no commit is acknowledged on another content");
  [[maybe_unused]] const Status checkpoint = (*store)->checkpoint();
  require(!(*store)->close().ok(), "the end is none in good order");
  require(disk->bytes() == before, "another content is left as it is");
}

/// More room for each blob, where there is some.
void make_larger(Store& store) {
  std::size_t count = 0;
  for (const BlobInfo& blob : store.blobs()) {
    if (++count > blobs_written_max) {
      return;
    }
    const std::array<BlobSpec, 1> larger = {
        {{blob.name,
          blob.type,
          std::min(blob.size_max_bytes + 5000, blob_size_max_bytes),
          "",
          {}}}};
    const Status grown = store.register_blobs(larger);
    const Result<BlobInfo> now = store.blob(blob.name);
    require(now.ok() && now->size_bytes == blob.size_bytes &&
                now->size_max_bytes ==
                    (grown.ok() ? larger.front().size_max_bytes : blob.size_max_bytes),
            blob.name + " is as large as was asked for, or as it was");
  }
}

void change_and_reopen(const std::shared_ptr<MemoryDisk>& disk, const KeyRing& keys) {
  Contents acknowledged;
  {
    auto store = open(disk, Access::read_write, keys);
    if (!store.ok()) {
      return;
    }
    read_all(**store, false);
    write_some(**store, acknowledged);
    const std::array<BlobSpec, 1> added = {{{"fuzz.added", "test", 5000, "fuzz 2", {}}}};
    if ((*store)->register_blobs(added).ok()) {
      write_some(**store, acknowledged);
    }
    make_larger(**store);
    [[maybe_unused]] const Status closed = (*store)->close();
  }
  auto store = open(disk, Access::read_only, keys);
  if (acknowledged.empty()) {
    return;
  }
  require(store.ok(),
          "what took a commit opens again: " + (store.ok() ? std::string() : store.error().text()));
  for (const auto& [name, content] : acknowledged) {
    const Result<std::vector<std::byte>> read = (*store)->read(name);
    require(read.ok() && *read == content, name + " still holds what was acknowledged");
  }
}

/// On a copy: what a repair calls sound holds a state that was there, and what is salvaged can be
/// read.
void rescue(const std::shared_ptr<MemoryDisk>& disk, const KeyRing& keys, const OnState& on_state) {
  const auto copy = std::make_shared<MemoryDisk>(disk->bytes());
  {
    MemoryDevice device(copy);
    const auto repaired = repair_image(device, false, {}, keys);
    const auto store = open(copy, Access::read_only, keys);
    if (repaired.ok() && repaired->sound && store.ok()) {
      on_state(read_all(**store, false));
    }
  }
  const test::TemporaryDirectory directory("/dev/shm"); // Nothing there waits for a disk.
  MemoryDevice device(disk, Access::read_only);
  const auto salvaged =
      salvage_image(device, directory.path("out"), {.keys = keys, .decrypt = true});
  if (salvaged.ok()) {
    auto out = open_device(directory.path("out"), Access::read_only);
    require(out.ok(), "what was salvaged is there");
    auto store = Store::open(*std::move(out), OpenOptions{.access = Access::read_only});
    require(store.ok(), "what was salvaged opens");
    require((*store)->blobs().size() <= salvaged->blobs.size(), "every blob was reported");
    read_all(**store, true);
  }
}

} // namespace

OnState past_states_of(const ImageHistory& history) {
  return [&history](const SeenState& state) {
    const Contents* then = history.contents_of(state.generation);
    require(then != nullptr, fmt::format("there was a generation {}", state.generation));
    for (const auto& [name, content] : state.contents) {
      const auto found = then->find(name);
      require(found != then->end() && found->second == content,
              fmt::format("blob {} held that in generation {}", name, state.generation));
    }
  };
}

void exercise_image(const std::shared_ptr<MemoryDisk>& disk, const ImageHistory& history,
                    const OnState& on_state) {
  const KeyRing keys = history.keys();
  const bool clean = is_clean(disk, keys);
  {
    auto store = open(disk, Access::read_only, keys);
    require(store.ok() || !clean, "check found nothing wrong, so it opens: " +
                                      (store.ok() ? std::string() : store.error().text()));
    if (store.ok()) {
      on_state(read_all(**store, clean));
      write_read_only(**store, *disk);
    }
  }
  const std::string disagreement = test::disagreement(disk->bytes(), false, keys);
  require(disagreement.empty(), "all agree about an image: " + disagreement);
  replace_while_open(history, disk->bytes());
  rescue(disk, keys, on_state);
  change_and_reopen(disk, keys);
}

} // namespace vnvram::fuzz
