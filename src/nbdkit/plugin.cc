// nbdkit's calls, one by one (nbdkit-plugin(3)): from C to Server and Export, and errors back.
#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include <cerrno>
#include <exception>
#include <memory>

#include "base/operator_text.h"
#include "base/plain_text.h"
#include "device/location.h"
#include "nbdkit/server.h"
#include "vnvram/version.h"

namespace vnvram::nbdkit {
namespace {

constexpr std::uint32_t block_size_preferred_bytes = block_size_bytes;
constexpr std::uint32_t block_size_max_bytes = 32U << 20U;

// nbdkit's calls have no place for a context before a connection is there. It is never destroyed by
// the end of a process: nbdkit's first one ends when it has become a daemon, and must not close the
// store of the other.
std::unique_ptr<Server>& server() {
  static auto* const kept = new std::unique_ptr<Server>; // NOLINT: see above
  return *kept;
}

int error_number(ErrorKind kind) {
  switch (kind) {
  case ErrorKind::read_only:
  case ErrorKind::sealed: return EROFS;
  case ErrorKind::not_found: return ENOENT;
  case ErrorKind::too_large:
  case ErrorKind::no_space: return ENOSPC;
  case ErrorKind::invalid_argument: return EINVAL;
  default: return EIO;
  }
}

int answer(const Status& status) {
  if (status) {
    return 0;
  }
  nbdkit_error("%s", plain_text(operator_text(status.error())).c_str());
  nbdkit_set_error(error_number(status.error().kind()));
  return -1;
}

/// Nothing is thrown into C.
template <typename Call> auto guarded(decltype(std::declval<Call>()()) failed, Call call) noexcept {
  try {
    return call();
  } catch (const std::exception& failure) {
    nbdkit_error("%s", failure.what());
    nbdkit_set_error(ENOMEM);
    return failed;
  }
}

Export& of(void* handle) {
  return *static_cast<Export*>(handle);
}

void load() {
  server() = std::make_unique<Server>();
}

void unload() {
  server().reset();
}

/// What is in front of the path in the value of such a key; nothing if there is none in it.
std::optional<std::string_view> before_path(std::string_view key, std::string_view value) {
  if (value.empty() || (key != "image" && key != "image-key")) {
    return std::nullopt;
  }
  switch (key == "image" ? scheme_of(value) : LocationScheme::path) {
  case LocationScheme::path: return std::string_view();
  case LocationScheme::owner:
    return value.starts_with("unix:") ? std::optional<std::string_view>("unix:") : std::nullopt;
  case LocationScheme::nbd:
  case LocationScheme::rbd:
  case LocationScheme::descriptor: break;
  }
  return std::nullopt;
}

int config(const char* key, const char* value) {
  return guarded(-1, [&] {
    const auto before = before_path(key, value);
    if (!before) {
      return answer(server()->options().set(key, value));
    }
    // A daemon's folder is another one.
    const std::unique_ptr<char, decltype(&std::free)> path(
        nbdkit_absolute_path(value + before->size()), &std::free);
    return path == nullptr
               ? -1
               : answer(server()->options().set(key, std::string(*before) + path.get()));
  });
}

/// On a thread that nbdkit does not know, about no request.
void log_failure(const Error& error) {
  nbdkit_error("%s", plain_text(operator_text(error)).c_str());
}

// Before nbdkit becomes a daemon: who started it sees what is wrong.
int get_ready() {
  return guarded(-1, [] { return answer(server()->open(log_failure)); });
}

int after_fork() {
  return guarded(-1, [] { return answer(server()->after_fork()); });
}

void cleanup() {
  guarded(-1, [] { return answer(server()->close()); });
}

int list_exports(int /*read_only*/, int /*is_tls*/, nbdkit_exports* exports) {
  return guarded(-1, [&] {
    for (const BlobInfo& blob : server()->blobs()) {
      if (nbdkit_add_export(exports, blob.name.c_str(), Export::description(blob).c_str()) != 0) {
        return -1;
      }
    }
    return 0;
  });
}

const char* default_export(int /*read_only*/, int /*is_tls*/) {
  return guarded(static_cast<const char*>(nullptr), [] {
    return nbdkit_strdup_intern(std::string(server()->default_export()).c_str());
  });
}

void* open(int read_only) {
  return guarded(static_cast<void*>(nullptr), [&]() -> void* {
    const char* name = nbdkit_export_name();
    if (name == nullptr) {
      return nullptr;
    }
    auto opened = server()->connect(name, read_only != 0);
    if (!opened) {
      answer(opened.error());
      return nullptr;
    }
    return (*opened).release(); // close() takes it back
  });
}

// The client is gone, and cannot be told any more.
void close(void* handle) {
  const std::unique_ptr<Export> owned(&of(handle));
  guarded(-1, [&] { return answer(owned->close()); });
}

const char* export_description(void* handle) {
  return guarded(static_cast<const char*>(nullptr),
                 [&] { return nbdkit_strdup_intern(of(handle).description().c_str()); });
}

std::int64_t get_size(void* handle) {
  return static_cast<std::int64_t>(of(handle).size_bytes());
}

int block_size(void* /*handle*/, std::uint32_t* minimum, std::uint32_t* preferred,
               std::uint32_t* maximum) {
  *minimum = 1;
  *preferred = block_size_preferred_bytes;
  *maximum = block_size_max_bytes;
  return 0;
}

int can_write(void* handle) {
  return of(handle).read_only() ? 0 : 1;
}

int yes(void* /*handle*/) {
  return 1;
}

int no(void* /*handle*/) {
  return 0;
}

int can_fua(void* /*handle*/) {
  return NBDKIT_FUA_NATIVE;
}

int pread(void* handle, void* buffer, std::uint32_t count, std::uint64_t offset,
          std::uint32_t /*flags*/) {
  return guarded(-1, [&] {
    const auto request = server()->request();
    return answer(of(handle).read(offset, std::span(static_cast<std::byte*>(buffer), count)));
  });
}

int pwrite(void* handle, const void* buffer, std::uint32_t count, std::uint64_t offset,
           std::uint32_t flags) {
  return guarded(-1, [&] {
    const auto request = server()->request();
    return answer(of(handle).write(offset, std::span(static_cast<const std::byte*>(buffer), count),
                                   (flags & NBDKIT_FLAG_FUA) != 0));
  });
}

int zero(void* handle, std::uint32_t count, std::uint64_t offset, std::uint32_t flags) {
  return guarded(-1, [&] {
    const auto request = server()->request();
    return answer(of(handle).zero(offset, count, (flags & NBDKIT_FLAG_FUA) != 0));
  });
}

int flush(void* handle, std::uint32_t /*flags*/) {
  return guarded(-1, [&] {
    const auto request = server()->request();
    return answer(of(handle).flush());
  });
}

constexpr const char* help =
    "[image=]IMAGE        (required) The image: a file, block device, VM image, NBD URI or rbd:;\n"
    "                     of vnvram-owner: unix:PATH, the control socket of its owner.\n"
    "sync=TIME|always     How long a write that is not flushed may wait to be durable,\n"
    "                     e.g. 10ms (default), 500us, 1s; always: not at all.\n"
    "reconnect=TIME       How long a request waits for the owner when that has ended, e.g. 30s\n"
    "                     (default), 500ms; 0: not at all. Of vnvram-owner.\n"
    "seccomp=on|log|off   What a system call does that serving does not need: end nbdkit, get\n"
    "                     logged, or pass (the default). Of vnvram-owner.\n"
    "export=NAME          Serve this blob only; may be repeated. The first is the default.\n"
    "readonly=NAME,...    These blobs cannot be written.\n"
    "space=POLICY         Where the image was copied without all of its space: reserve (the\n"
    "                     default: or do not start), warn or ignore.\n"
    "key=KEY              Opens an encrypted image: file:PATH[,remove], fd:N, passphrase,\n"
    "                     passphrase:file:PATH[,remove], passphrase:fd:N, exec:COMMAND; may be\n"
    "                     repeated.\n"
    "anchor=ANCHOR        file:PATH or exec:COMMAND, where the image's newest state is kept.\n"
    "anchor-policy=POLICY When that is written: commit, every=SECONDS or open.\n"
    "image-key=FILE       The key of a LUKS or encrypted qcow2 image.\n"
    "image-format=FORMAT  raw, qcow2, vmdk, vhdx, vdi or luks, if not as its first bytes say.\n"
    "take-over=fence      Shut out whoever has the image, where its storage can (RBD, a device\n"
    "                     that its host has reserved); owner-is-dead: where it cannot, your word\n"
    "                     that nothing writes to it.\n"
    "reservation=yes      Have a whole SCSI or NVMe device take writes from this host alone.";

nbdkit_plugin description() {
  nbdkit_plugin plugin{};
  plugin.name = VNVRAM_PLUGIN_NAME;
  plugin.longname = "vNVRAM";
  plugin.version = VNVRAM_VERSION;
  plugin.description = "The blobs of a vNVRAM image (UEFI variables, EEPROM, ...) as exports";
  plugin.config_help = help;
  plugin.magic_config_key = "image";
  plugin.load = load;
  plugin.unload = unload;
  plugin.config = config;
  plugin.get_ready = get_ready;
  plugin.after_fork = after_fork;
  plugin.cleanup = cleanup;
  plugin.list_exports = list_exports;
  plugin.default_export = default_export;
  plugin.open = open;
  plugin.close = close;
  plugin.export_description = export_description;
  plugin.get_size = get_size;
  plugin.block_size = block_size;
  plugin.can_write = can_write;
  plugin.can_flush = yes;
  plugin.can_fua = can_fua;
  plugin.can_zero = yes;
  plugin.can_fast_zero = yes;
  plugin.can_trim = no;
  plugin.is_rotational = no;
  plugin.can_multi_conn = yes; // A flush is for the writes of all connections.
  plugin.pread = pread;
  plugin.pwrite = pwrite;
  plugin.zero = zero;
  plugin.flush = flush;
  return plugin;
}

nbdkit_plugin plugin = description();

} // namespace
} // namespace vnvram::nbdkit

// One request of a connection at a time, those of different connections beside each other. With
// several, nbdkit 1.32 has up to 17 threads for a connection, each with room for the largest
// request that it has seen, and two of them that both wait for a client to take its answer end the
// process when it goes instead (an assertion in raw_send_socket): for all clients.
#define THREAD_MODEL NBDKIT_THREAD_MODEL_SERIALIZE_REQUESTS
NBDKIT_REGISTER_PLUGIN(vnvram::nbdkit::plugin)
