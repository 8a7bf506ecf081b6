// A store on a simulated disk whose owner, in this process, serves it on a socket.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/system_clock.h"
#include "owner/image_keeper.h"
#include "rpc/owner_client.h"
#include "rpc/remote_blob_client.h"
#include "serve/owner_server.h"
#include "service/listener.h"
#include "service/log.h"
#include "support/simulated_device.h"
#include "support/temporary_directory.h"

namespace vnvram::test {

/// As `vnvram serve` puts it together. The store has no threads of its own, so what the disk sees
/// is what sessions ask for, on their threads.
class ServedStore {
public:
  explicit ServedStore(std::shared_ptr<SimulatedDisk> disk);
  ServedStore(const ServedStore&) = delete;
  ServedStore& operator=(const ServedStore&) = delete;
  /// As close(). Its clients are gone.
  ~ServedStore();

  Status open();
  /// The owner's end, in good order: sessions, then the store.
  Status close();

  Result<std::unique_ptr<RemoteBlobClient>> client() const;
  Result<std::unique_ptr<OwnerClient>> operators() const;
  /// Held during each operation of the disk, and by whoever tells the disk's explorer something:
  /// then it is one thread at a time that has anything to do with the two.
  [[nodiscard]] std::mutex& turn() { return turn_; }

private:
  std::shared_ptr<SimulatedDisk> disk_;
  std::mutex turn_;
  TemporaryDirectory folder_{"/tmp"}; // A socket's path is short.
  const std::string path_ = folder_.path("control");
  const Log log_{"crash test", LogLevel::error};
  SystemClock clock_;
  ImageKeeper keeper_;
  std::optional<Listener> listener_;
  std::unique_ptr<OwnerServer> server_;
};

} // namespace vnvram::test
