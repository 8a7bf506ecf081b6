// NBD servers that tests talk to, each a process of its own on a unix socket.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "support/process.h"
#include "support/temporary_directory.h"

namespace vnvram::test {

/// Serves from construction on, and is killed at the latest when its object goes, or this program.
class NbdServer {
public:
  using Words = std::vector<std::string>;

  /// nbdkit with these filters, plugin and parameters.
  static std::unique_ptr<NbdServer> nbdkit(const Words& words);
  /// The same on the loopback address, on some free port.
  static std::unique_ptr<NbdServer> nbdkit_on_tcp(const Words& words);
  /// qemu-nbd with these options and image.
  static std::unique_ptr<NbdServer> qemu_nbd(const Words& words);
  /// qemu-storage-daemon, and QEMU itself, with a writable export "nv" of an image.
  static std::unique_ptr<NbdServer> storage_daemon(const std::string& image,
                                                   const std::string& format);
  static std::unique_ptr<NbdServer> qemu(const std::string& image, const std::string& format);

  [[nodiscard]] const std::string& socket() const { return socket_; }
  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] std::string uri() const;
  /// At once, as a crash does.
  void kill() { process_.reset(); }
  /// It stays, and does nothing, until it is continued.
  void stop() const;
  void go_on() const;

private:
  NbdServer() : directory_("/tmp"), socket_(directory_.path("socket")) {}
  void start(Words words);
  void wait_for_pid_file();
  [[nodiscard]] std::string pid_file() const { return directory_.path("pid"); }

  TemporaryDirectory directory_; // Short: a socket's path has 107 characters.
  std::string socket_;
  std::string export_name_;
  std::uint16_t port_ = 0;
  std::optional<Process> process_;
};

/// Waits until a file's content has the text, and returns the content. Throws when it takes longer
/// than 20 s.
std::string wait_for_content(const std::string& path, const std::string& text);

} // namespace vnvram::test
