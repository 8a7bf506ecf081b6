// What the daemon tells the system that started it.
#pragma once

#include <string>
#include <string_view>

#include "base/unique_fd.h"
#include "vnvram/result.h"

namespace vnvram {

/// systemd's notification protocol: one datagram of assignments to the socket that NOTIFY_SOCKET
/// names. The socket is opened by the constructor, so it works in a sandbox later. Without
/// NOTIFY_SOCKET nothing happens.
class ServiceNotify {
public:
  ServiceNotify();
  /// E.g. "READY=1\nSTATUS=Serving".
  void send(std::string_view assignments) const;
  /// Why the service manager that there is hears nothing; empty if it does.
  [[nodiscard]] const std::string& trouble() const { return trouble_; }

private:
  UniqueFd socket_; ///< Connected.
  std::string trouble_;
};

/// A file with the process's number, for as long as the object lives.
class PidFile {
public:
  static Result<PidFile> write(const std::string& path);
  PidFile(PidFile&& other) noexcept : path_(std::move(other.path_)) { other.path_.clear(); }
  PidFile& operator=(PidFile&&) = delete;
  PidFile(const PidFile&) = delete;
  PidFile& operator=(const PidFile&) = delete;
  ~PidFile();

  /// Somebody else removes it from now on.
  void leave_name() { path_.clear(); }

private:
  explicit PidFile(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

} // namespace vnvram
