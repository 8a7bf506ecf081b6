// Blobs in memory, for tests of front ends: an owner without an image, whose calls can be made to
// fail.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "client/image_state.h"
#include "vnvram/blob.h"
#include "vnvram/result.h"
#include "vnvram/transaction.h"

namespace vnvram::test {

/// When a call that fails does so.
enum class FailsAt {
  request, ///< It has done nothing.
  answer,  ///< It has done what it was asked for, and nobody hears of it.
};

/// The blobs of one image, as readers see them and as the next owner would find them. Clients of it
/// are MemoryBlobClient.
///
/// Threads: any.
class MemoryBlobs {
public:
  /// How many bytes of blobs it has room for, and how many one transaction may change.
  explicit MemoryBlobs(std::uint64_t space_bytes = std::uint64_t{4} << 20U,
                       std::uint64_t blob_size_max_bytes = std::uint64_t{1} << 20U);

  // ---- What clients ask for, by their names in BlobClient

  Result<std::vector<BlobInfo>> blobs();
  Result<BlobInfo> blob(std::string_view name);
  Result<ImageState> state();
  Result<std::vector<std::byte>> read_all(std::string_view name);
  Status read(std::string_view name, std::uint64_t offset_bytes, std::span<std::byte> bytes);
  Result<std::uint64_t> change(const Transaction& transaction, bool durable);
  Status flush();
  Status register_blobs(std::span<const BlobSpec> specs);

  // ---- What a test makes of it

  /// The count-th call from now on that could change something fails, and only that one. 1 is the
  /// next.
  void fail(std::uint64_t count, FailsAt at, ErrorKind kind = ErrorKind::io);
  /// Nothing becomes durable any more.
  void break_device();
  void set_watcher(const void* who, std::function<void(const Error&)> watcher);
  void set_sealed(bool sealed);
  void set_attached(bool attached);
  /// What was deferred is durable then.
  void set_held(bool held);
  void remove(std::string_view name);
  /// What the next owner would find, were this one to die now.
  std::vector<std::byte> durable_content(std::string_view name);
  /// How many calls could have changed something.
  std::uint64_t change_count();

private:
  struct Blob {
    BlobInfo info;
    std::vector<std::byte> content; ///< As long as info.size_bytes.
    std::vector<std::byte> durable;
  };
  using Blobs = std::map<std::string, Blob, std::less<>>;
  struct Fault {
    std::uint64_t count = 0;
    FailsAt at = FailsAt::request;
    ErrorKind kind = ErrorKind::io;
  };

  [[nodiscard]] Status check_attached() const;
  /// Needs the mutex. Errors: absent, not_found.
  [[nodiscard]] Result<const Blob*> find(std::string_view name) const;
  /// Every call that could change something begins and ends with these.
  [[nodiscard]] Status begin_call();
  [[nodiscard]] Status end_call();
  /// Begins it once changes are not held, and if they are taken.
  [[nodiscard]] Status begin_change(std::unique_lock<std::mutex>& lock);
  [[nodiscard]] Status make_durable();
  [[nodiscard]] std::uint64_t space_used_bytes() const;
  [[nodiscard]] static Status apply(Blobs& blobs, const Transaction::Update& update);
  [[nodiscard]] static Status register_one(Blobs& blobs, const BlobSpec& spec);
  void tell(const Error& error);

  std::mutex mutex_;
  std::condition_variable changed_;
  const std::uint64_t space_bytes_;
  const std::uint64_t blob_size_max_bytes_;
  Blobs blobs_;
  std::uint64_t generation_ = 1;
  bool sealed_ = false;
  bool attached_ = true;
  bool held_ = false;
  bool broken_ = false;
  bool poisoned_ = false;
  std::uint64_t change_count_ = 0;
  std::optional<Fault> fault_;
  bool answer_is_lost_ = false;
  std::map<const void*, std::function<void(const Error&)>> watchers_;
};

} // namespace vnvram::test
