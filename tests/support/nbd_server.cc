#include "support/nbd_server.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "base/unique_fd.h"

namespace vnvram::test {
namespace {

std::string content_of(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Gives up when `ended` becomes readable; -1: when the time is over.
std::string wait_until_it_says(const std::string& path, const std::string& text, int ended) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  const UniqueFd watch(::inotify_init1(IN_CLOEXEC));
  const std::string folder = std::filesystem::path(path).parent_path();
  // The folder, because the file may not be there yet.
  if (::inotify_add_watch(watch.get(), folder.c_str(),
                          IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_TO) < 0) {
    throw std::runtime_error("cannot watch " + folder);
  }
  for (;;) {
    std::string content = content_of(path);
    if (!content.empty() && content.find(text) != std::string::npos) {
      return content;
    }
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    std::array<pollfd, 2> wait = {{{.fd = watch.get(), .events = POLLIN, .revents = 0},
                                   {.fd = ended, .events = POLLIN, .revents = 0}}};
    if (left.count() <= 0 ||
        ::poll(wait.data(), wait.size(), static_cast<int>(left.count())) <= 0 ||
        wait[1].revents != 0) {
      throw std::runtime_error(path + " does not say \"" + text + "\": " + content);
    }
    std::array<char, 4096> events = {};
    (void)!::read(watch.get(), events.data(), events.size());
  }
}

/// One that nobody listens on at the moment.
std::uint16_t free_port() {
  const UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  if (::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), length) != 0 ||
      ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &length) != 0) {
    throw std::runtime_error("no port on the loopback address");
  }
  return ntohs(address.sin_port);
}

} // namespace

std::string wait_for_content(const std::string& path, const std::string& text) {
  return wait_until_it_says(path, text, -1);
}

std::unique_ptr<NbdServer> NbdServer::nbdkit(const Words& words) {
  std::unique_ptr<NbdServer> server(new NbdServer);
  Words all = {"nbdkit",        "--foreground", "--unix",
               server->socket_, "--pidfile",    server->pid_file()};
  all.insert(all.end(), words.begin(), words.end());
  server->start(std::move(all));
  server->wait_for_pid_file();
  return server;
}

std::unique_ptr<NbdServer> NbdServer::nbdkit_on_tcp(const Words& words) {
  // Someone may take the port between our look and its bind: then it ends, and we look again.
  for (int attempt = 0;; ++attempt) {
    std::unique_ptr<NbdServer> server(new NbdServer);
    server->port_ = free_port();
    Words all = {"nbdkit",    "--foreground",    "--ipaddr",
                 "127.0.0.1", "--port",          std::to_string(server->port_),
                 "--pidfile", server->pid_file()};
    all.insert(all.end(), words.begin(), words.end());
    try {
      server->start(std::move(all));
      server->wait_for_pid_file();
      return server;
    } catch (const std::exception&) {
      if (attempt == 5) {
        throw;
      }
    }
  }
}

std::unique_ptr<NbdServer> NbdServer::qemu_nbd(const Words& words) {
  std::unique_ptr<NbdServer> server(new NbdServer);
  Words all = {"qemu-nbd",      "--persistent", "--shared=8",      "--socket",
               server->socket_, "--pid-file",   server->pid_file()};
  all.insert(all.end(), words.begin(), words.end());
  server->start(std::move(all));
  server->wait_for_pid_file();
  return server;
}

std::unique_ptr<NbdServer> NbdServer::storage_daemon(const std::string& image,
                                                     const std::string& format) {
  std::unique_ptr<NbdServer> server(new NbdServer);
  server->export_name_ = "nv";
  server->start({"qemu-storage-daemon", "--blockdev",
                 "driver=" + format + ",node-name=nv,file.driver=file,file.filename=" + image,
                 "--nbd-server", "addr.type=unix,addr.path=" + server->socket_, "--export",
                 "type=nbd,id=e0,node-name=nv,name=nv,writable=on", "--pidfile",
                 server->pid_file()});
  server->wait_for_pid_file();
  return server;
}

std::unique_ptr<NbdServer> NbdServer::qemu(const std::string& image, const std::string& format) {
  std::unique_ptr<NbdServer> server(new NbdServer);
  server->export_name_ = "nv";
  server->start({"qemu-system-x86_64", "-machine", "none", "-nodefaults", "-display", "none", "-S",
                 "-blockdev",
                 "driver=" + format + ",node-name=nv,file.driver=file,file.filename=" + image,
                 "-qmp", "stdio"});
  server->process_->write(
      R"({"execute":"qmp_capabilities"} {"execute":"nbd-server-start","arguments":{"addr":)"
      R"({"type":"unix","data":{"path":")" +
      server->socket_ +
      R"("}}}} {"execute":"block-export-add","arguments":{"type":"nbd","id":"e0",)"
      R"("node-name":"nv","name":"nv","writable":true}} {"execute":"query-block-exports"})"
      "\n");
  if (!server->process_->wait_for_output(R"("id": "e0")")) {
    throw std::runtime_error("QEMU exports nothing: " + server->process_->output());
  }
  return server;
}

void NbdServer::start(Words words) {
  words.insert(words.begin(), {"setpriv", "--pdeathsig", "KILL"});
  process_.emplace(words);
}

void NbdServer::wait_for_pid_file() {
  const UniqueFd ended(static_cast<int>(::syscall(SYS_pidfd_open, process_->pid(), 0)));
  try {
    wait_until_it_says(pid_file(), "", ended.get());
  } catch (const std::exception&) {
    process_->finish(std::chrono::milliseconds(100));
    throw std::runtime_error("a server does not start: " + process_->output());
  }
}

std::string NbdServer::uri() const {
  if (port_ != 0) {
    return "nbd://127.0.0.1:" + std::to_string(port_) + "/";
  }
  return "nbd+unix:///" + export_name_ + "?socket=" + socket_;
}

void NbdServer::stop() const {
  ::kill(process_->pid(), SIGSTOP);
  siginfo_t stopped{}; // Its threads go on until they notice.
  if (::waitid(P_PID, static_cast<id_t>(process_->pid()), &stopped, WSTOPPED) != 0) {
    throw std::runtime_error("a server does not stop");
  }
}

void NbdServer::go_on() const {
  ::kill(process_->pid(), SIGCONT);
}

} // namespace vnvram::test
