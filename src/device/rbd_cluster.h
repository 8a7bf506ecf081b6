// A client of a Ceph cluster, with one pool in view.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include <sys/types.h>

#include "device/rbd_library.h"
#include "device/rbd_location.h"
#include "vnvram/result.h"

namespace vnvram {

/// Every request to the cluster has a deadline, librados' own by default has none. Nothing is
/// cached: what librbd says is written is on the OSDs.
class RbdCluster {
public:
  /// In time or not at all. Errors: absent (no configuration, pool or namespace of that name),
  /// invalid_argument (options that Ceph does not take), unsupported (no librbd), io (anything
  /// else, a cluster that does not answer too).
  static Result<std::shared_ptr<RbdCluster>> connect(const RbdLocation& location,
                                                     std::chrono::milliseconds timeout);
  RbdCluster(const RbdCluster&) = delete;
  RbdCluster& operator=(const RbdCluster&) = delete;
  ~RbdCluster();

  [[nodiscard]] const RbdLibrary& library() const { return library_; }
  [[nodiscard]] rados_ioctx_t pool() const { return pool_; }
  [[nodiscard]] const RbdLocation& location() const { return location_; }
  [[nodiscard]] const std::string& name() const { return location_.text; }
  [[nodiscard]] std::chrono::milliseconds timeout() const { return timeout_; }
  /// For how long a call is waited for (call_in_time): librados gives up first, and says why.
  [[nodiscard]] std::chrono::milliseconds patience() const { return patience_for(timeout_); }
  [[nodiscard]] Error error(std::string_view what, int result) const;

  /// librados has threads, and a child that was forked has none of them: nothing works in it.
  [[nodiscard]] bool is_in_its_process() const;

  /// No OSD takes anything from this client any more, nor what is still on its way. Error: io, then
  /// it may do both.
  Status fence_itself();
  /// For another client's address, as the cluster names it. In force once this client has the map
  /// that says so (wait_for_map()), wherever it asks something then. Ceph's own error numbers.
  int shut_out(const std::string& address);
  int wait_for_map();
  /// What the cluster calls this client: N of "client.N".
  [[nodiscard]] std::uint64_t instance() const;

private:
  RbdCluster(const RbdLibrary& library, RbdLocation location, std::chrono::milliseconds timeout);
  static std::chrono::milliseconds patience_for(std::chrono::milliseconds timeout);
  static Result<std::shared_ptr<RbdCluster>> connect_at_leisure(const RbdLibrary& library,
                                                                const RbdLocation& location,
                                                                std::chrono::milliseconds timeout);
  [[nodiscard]] Error connect_error(int result) const;
  Status configure();
  Status read_configuration();
  Status set(const char* option, const std::string& value);
  Status open_pool();

  const RbdLibrary& library_;
  const RbdLocation location_;
  const std::chrono::milliseconds timeout_;
  const pid_t pid_;
  rados_t cluster_ = nullptr;
  rados_ioctx_t pool_ = nullptr;
};

} // namespace vnvram
