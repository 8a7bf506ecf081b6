// A qemu-nbd of our own that serves one VM image, to us alone, for as long as we need it.
#pragma once

#include <memory>
#include <string>

#include "base/unique_fd.h"
#include "device/bound_child.h"
#include "device/image_format.h"
#include "device/qemu_file.h"
#include "vnvram/open_device.h"

namespace vnvram {

/// The one connection that it ever accepts is waiting on its listening socket before it is started,
/// and the socket's name is gone by then: nobody else can reach what it serves.
///
/// It ends by itself when its client goes. Whatever ends us ends it, too, at any moment: see
/// BoundChild.
class QemuNbdServer {
public:
  /// Returns when it serves; the image's locks, QEMU's own, are held then. `image.encrypted` needs
  /// options.image_key_file. Errors: in_use; wrong_key; unsupported (there is no qemu-nbd); io with
  /// what qemu-nbd said.
  static Result<std::unique_ptr<QemuNbdServer>> start(const QemuFile& file,
                                                      const ImageContainer& image, Access access,
                                                      const DeviceOptions& options);

  /// Waits for its end, some time: the connection must be closed.
  ~QemuNbdServer();
  QemuNbdServer(const QemuNbdServer&) = delete;
  QemuNbdServer& operator=(const QemuNbdServer&) = delete;

  /// The connection, nothing read from it yet; once.
  [[nodiscard]] UniqueFd take_connection() { return std::move(connection_); }
  /// What it said on its standard error; empty as a rule.
  std::string said();

private:
  QemuNbdServer(QemuFile file, BoundChild child, UniqueFd connection)
      : file_(std::move(file)), child_(std::move(child)), connection_(std::move(connection)) {}
  /// False when it has ended, or does not serve in this time.
  bool wait_until_serving(std::chrono::milliseconds time_limit);

  const QemuFile file_;
  BoundChild child_;
  UniqueFd connection_;
};

} // namespace vnvram
