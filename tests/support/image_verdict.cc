#include "support/image_verdict.h"

#include <array>
#include <memory>

#include <fmt/core.h>

#include "device/memory_device.h"
#include "rescue/image_dump.h"
#include "support/temporary_directory.h"
#include "vnvram/rescue.h"
#include "vnvram/store.h"

namespace vnvram::test {
namespace {

using Bytes = std::vector<std::byte>;

bool is_damage(const Error& error) {
  return error.kind() != ErrorKind::too_new && error.kind() != ErrorKind::no_space &&
         error.kind() != ErrorKind::too_large && error.kind() != ErrorKind::sealed &&
         error.kind() != ErrorKind::unsupported;
}

/// Keeps the first refusal that is one.
class Refusals {
public:
  void note(const char* command, const Error& error) {
    if (first_.empty() && is_damage(error)) {
      first_ = fmt::format("{}: {}", command, error.text());
    }
  }
  void note(const char* command, const Status& status) {
    if (!status) {
      note(command, status.error());
    }
  }
  [[nodiscard]] const std::string& first() const { return first_; }

private:
  std::string first_;
};

class EveryCommand {
public:
  EveryCommand(const Bytes& image, const KeyRing& keys)
      : disk_(std::make_shared<MemoryDisk>(image)), keys_(keys) {}

  std::string run(bool thoroughly) {
    read();
    if (thoroughly) {
      salvage();
    }
    write();
    MemoryDevice device(disk_);
    refusals_.note("resize",
                   resize_image(device, disk_->bytes().size() + 64 * block_size_bytes, keys_));
    device.unlock();
    refusals_.note("seal", seal_image(std::make_unique<MemoryDevice>(disk_), {.keys = keys_}));
    refusals_.note("unseal", unseal_image(std::make_unique<MemoryDevice>(disk_), {.keys = keys_}));
    check("check after all that");
    return refusals_.first();
  }

private:
  void check(const char* when) {
    MemoryDevice device(disk_, Access::read_only);
    const Result<CheckReport> report = check_image(device, {}, keys_);
    if (!report) {
      refusals_.note(when, report.error());
    } else if (!report->clean()) {
      refusals_.note(when, Error(ErrorKind::corrupt, report->problems.front().place + ": " +
                                                         report->problems.front().what));
    }
  }

  Result<std::unique_ptr<Store>> open(Access access) {
    OpenOptions options;
    options.access = access;
    options.keys = keys_;
    options.accept_sealed = true;
    options.accept_hand_over = true;
    options.background = false;
    options.cache_size_bytes = cache_size_min_bytes;
    return Store::open(std::make_unique<MemoryDevice>(disk_, access), options);
  }

  void read() {
    MemoryDevice device(disk_, Access::read_only);
    if (const auto dump = dump_image(device, keys_); !dump) {
      refusals_.note("dump", dump.error());
    }
    const auto store = open(Access::read_only);
    if (!store) {
      refusals_.note("ls", store.error());
      return;
    }
    for (const BlobInfo& blob : (*store)->blobs()) {
      if (const auto content = (*store)->read(blob.name); !content) {
        refusals_.note("get", content.error());
      }
    }
  }

  void salvage() {
    const TemporaryDirectory directory("/dev/shm"); // Nothing there waits for a disk.
    MemoryDevice device(disk_, Access::read_only);
    const auto report =
        salvage_image(device, directory.path("out"), {.keys = keys_, .decrypt = true});
    if (!report) {
      refusals_.note("salvage", report.error());
    } else if (!report->complete()) {
      refusals_.note("salvage", Error(ErrorKind::corrupt, "not all was saved"));
    }
  }

  void write() {
    const auto store = open(Access::read_write);
    if (!store) {
      refusals_.note("put", store.error());
      return;
    }
    if ((*store)->info().sealed) {
      refusals_.note("unseal", (*store)->unseal());
    }
    const std::array<std::byte, 3> content = {std::byte{1}, std::byte{2}, std::byte{3}};
    for (const BlobInfo& blob : (*store)->blobs()) {
      refusals_.note("put", (*store)->write(blob.name, std::span(content).first(1)));
    }
    const std::array<BlobSpec, 1> added = {
        {{.name = "one.more", .type = "test", .size_max_bytes = 3}}};
    const Status registered = (*store)->register_blobs(added);
    refusals_.note("register", registered);
    if (registered) {
      refusals_.note("put", (*store)->write("one.more", content));
      refusals_.note("rm", (*store)->remove_blob("one.more"));
    }
    refusals_.note("the end of put", (*store)->close());
  }

  std::shared_ptr<MemoryDisk> disk_;
  KeyRing keys_;
  Refusals refusals_;
};

/// What check finds first; empty: nothing.
std::string check_finds(const Bytes& image, const KeyRing& keys) {
  MemoryDevice device(std::make_shared<MemoryDisk>(image), Access::read_only);
  const Result<CheckReport> report = check_image(device, {}, keys);
  if (!report) {
    return report.error().text();
  }
  return report->clean() ? ""
                         : report->problems.front().place + ": " + report->problems.front().what;
}

/// What a cut may have left, and a repair may mend all the same.
bool has_notes(const Bytes& image, const KeyRing& keys) {
  MemoryDevice device(std::make_shared<MemoryDisk>(image), Access::read_only);
  const Result<CheckReport> report = check_image(device, {}, keys);
  return report && !report->notes.empty();
}

} // namespace

std::string refused_as_damaged(const Bytes& image, bool thoroughly, const KeyRing& keys) {
  return EveryCommand(image, keys).run(thoroughly);
}

std::string disagreement(const Bytes& image, bool thoroughly, const KeyRing& keys) {
  const bool clean = check_finds(image, keys).empty();
  if (clean) {
    if (const std::string refused = refused_as_damaged(image, thoroughly, keys); !refused.empty()) {
      return "check finds nothing, and then " + refused;
    }
  }
  const auto disk = std::make_shared<MemoryDisk>(image);
  MemoryDevice device(disk);
  const Result<RepairReport> repaired = repair_image(device, false, {}, keys);
  device.unlock();
  if (clean && !(repaired && repaired->sound)) {
    return "check finds nothing, and repair " +
           (repaired ? repaired->findings.back().what : repaired.error().text());
  }
  if (clean && !has_notes(image, keys) && disk->bytes() != image) {
    return "check finds nothing, and repair changes something";
  }
  const std::string after = check_finds(disk->bytes(), keys);
  if (!repaired || !repaired->sound) {
    return after.empty() ? "repair says that it is not sound, and check finds nothing" : "";
  }
  if (!after.empty()) {
    return "repair says that it is sound, and check finds " + after;
  }
  const std::string refused = clean ? "" : refused_as_damaged(disk->bytes(), thoroughly, keys);
  return refused.empty() ? "" : "repair says that it is sound, and then " + refused;
}

} // namespace vnvram::test
