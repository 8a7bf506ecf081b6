// A client whose owner is another process.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "client/blob_client.h"

namespace vnvram {

class OwnerLink;

/// One front end's: a session of its owner's (owner.capnp), over a socket that is connected.
///
/// Once the connection is lost every call fails with io, and stays so: what was deferred may be
/// gone with the owner, and nobody shall believe that it is durable. Changes of more than 16 MiB in
/// one transaction are too_large.
class RemoteBlobClient final : public BlobClient {
public:
  /// Errors: io (nobody answers there as an owner does, within 5 s).
  static Result<std::unique_ptr<RemoteBlobClient>> connect(UniqueFd socket);
  /// The session ends, and writes nothing.
  ~RemoteBlobClient() override;

  Result<std::vector<BlobInfo>> blobs() override;
  Result<BlobInfo> blob(std::string_view name) override;
  Result<ImageState> state() override;
  Result<std::vector<std::byte>> read_all(std::string_view blob) override;
  Status read(std::string_view blob, std::uint64_t offset_bytes,
              std::span<std::byte> bytes) override;
  Status write(std::string_view blob, std::uint64_t offset_bytes, std::span<const std::byte> bytes,
               Durability durability) override;
  Status zero(std::string_view blob, std::uint64_t offset_bytes, std::uint64_t length_bytes,
              Durability durability) override;
  Result<std::uint64_t> commit(const Transaction& transaction) override;
  Status flush() override;
  Status register_blobs(std::span<const BlobSpec> blobs) override;
  /// It is told of the loss of the connection, too.
  void watch_failures(std::function<void(const Error&)> failed_in_background) override;
  Status claim(const std::vector<std::string>& blobs) override;
  Status hand_over() override;
  Status take_back() override;
  Result<bool> look_again() override;
  Status close() override;

private:
  explicit RemoteBlobClient(std::unique_ptr<OwnerLink> link);
  Result<std::uint64_t> change(const Transaction& transaction, bool deferred);
  void tell(const Error& error);

  std::mutex watch_mutex_; ///< Held while the watcher runs.
  std::function<void(const Error&)> watcher_;
  bool follows_ = false;
  std::unique_ptr<OwnerLink> link_; ///< Before the watcher goes.
};

} // namespace vnvram
