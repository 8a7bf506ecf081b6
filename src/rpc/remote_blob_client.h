// A client whose owner is another process.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/unique_fd.h"
#include "client/blob_client.h"
#include "rpc/change_sender.h"
#include "rpc/claimed_blobs.h"
#include "rpc/connector.h"
#include "rpc/kept_changes.h"
#include "rpc/lasting_link.h"

namespace vnvram {

/// One front end's: a session of its owner's (owner.capnp), over a socket that is connected.
/// Changes of more than 16 MiB in one transaction are too_large.
///
/// A deferred write that goes where this client has written before is posted: it returns as soon as
/// the owner has it in its socket. Were the owner not to take it after all (because its store is
/// poisoned, for example), every change and flush behind it asks for it again, and fails as long as
/// it is not taken.
///
/// With a connector it outlives its owner. When the connection is lost, calls wait until there is
/// an owner again; what was answered and may not be durable is repeated as one change, then what
/// has no answer, in order; then the calls go on. It gives up for good, and every call fails from
/// then on, if no owner comes in time (io), if someone else writes a blob of this session meanwhile
/// (in_use), if the image is another one or older than it was (stale), or if it does not take the
/// changes any more (as a change).
///
/// Without one nothing is posted, and every call fails with io once the connection is lost, and
/// stays so: what was deferred may be gone with the owner, and nobody shall believe that it is
/// durable.
class RemoteBlobClient final : public BlobClient {
public:
  struct Lasting {
    Connector connect;
    std::chrono::milliseconds patience = std::chrono::seconds(30); ///< Of each call.
    /// Told of what is no failure: that the owner is back.
    std::function<void(const std::string&)> log = [](const std::string&) {};
  };

  /// Errors: io (nobody answers there as an owner does, within 5 s).
  static Result<std::unique_ptr<RemoteBlobClient>> connect(UniqueFd socket);
  /// Connects once; errors as above, and the connector's.
  static Result<std::unique_ptr<RemoteBlobClient>> connect(Lasting lasting);
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
  /// It is told when the connection is given up, not of each loss.
  void watch_failures(std::function<void(const Error&)> failed_in_background) override;
  Status claim(const std::vector<std::string>& blobs) override;
  Status hand_over() override;
  Status take_back() override;
  Result<bool> look_again() override;
  Result<OwnerEpoch> let_go(const HandOverNumber& number) override;
  Status go_on(const GoOn& from) override;
  Status close() override;

private:
  RemoteBlobClient(std::unique_ptr<OwnerLink> link, Lasting lasting);

  // ---- A new connection, before anything else is asked on it
  Status resume(OwnerLink& link);
  /// Errors: absent (there is no image), stale (it is not the one that it was).
  Status look_at_image(OwnerLink& link);
  /// Says again what belongs to the session, and not to the image. Errors: in_use, not_found.
  Status set_up_session(OwnerLink& link);
  Status take_rights(OwnerLink& link);

  [[nodiscard]] bool is_missed();
  void follow(LastingLink::Link link, std::uint64_t last_event);
  void tell(const Error& error);

  KeptChanges kept_;
  std::optional<std::array<std::byte, 16>> image_uuid_; ///< Of who connects.
  std::atomic<std::uint64_t> last_event_ = 0;           ///< Of the owner, when it was connected to.
  ClaimedBlobs claimed_;
  std::atomic<bool> handed_over_ = false; ///< By the last word, also one under way.
  /// Until it goes on the session has no rights, and nothing that would have to be repeated.
  std::atomic<bool> let_go_ = false;
  std::mutex watch_mutex_; ///< Held while the watcher runs.
  std::function<void(const Error&)> watcher_;
  bool follows_ = false;
  std::unique_ptr<LastingLink> link_; ///< Before the watcher goes.
  ChangeSender changes_;
  std::jthread following_;
};

} // namespace vnvram
