#include "support/nbd_server.h"

#include <poll.h>
#include <sys/inotify.h>
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

} // namespace

std::string wait_for_content(const std::string& path, const std::string& text) {
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
    pollfd wait = {.fd = watch.get(), .events = POLLIN, .revents = 0};
    if (left.count() <= 0 || ::poll(&wait, 1, static_cast<int>(left.count())) <= 0) {
      throw std::runtime_error(path + " does not say \"" + text + "\": " + content);
    }
    std::array<char, 4096> events = {};
    (void)!::read(watch.get(), events.data(), events.size());
  }
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

void NbdServer::wait_for_pid_file() const {
  try {
    wait_for_content(pid_file(), "");
  } catch (const std::exception& error) {
    throw std::runtime_error("a server does not start: " + process_->output());
  }
}

std::string NbdServer::uri() const {
  return "nbd+unix:///" + export_name_ + "?socket=" + socket_;
}

void NbdServer::stop() const {
  ::kill(process_->pid(), SIGSTOP);
}

void NbdServer::go_on() const {
  ::kill(process_->pid(), SIGCONT);
}

} // namespace vnvram::test
