#include "device/rbd_cluster.h"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <utility>

#include <fmt/core.h>

#include "device/call_in_time.h"
#include "device/rbd_error.h"

namespace vnvram {
namespace {

// As long as the image's next owner may need to be told by the cluster: Ceph's own default.
constexpr std::uint32_t fence_seconds = 3600;

// For what waits for something else than an answer, which librados has a deadline for.
constexpr std::chrono::seconds grace{2};

struct Setting {
  const char* option;
  const char* value;
  bool is_known_everywhere = true; ///< Else: by some releases of Ceph.
};

// With its cache librbd calls writes durable that it still has, also of an owner that was fenced
// long ago. Whose lock is broken must be unable to write, for as long as the cluster's
// administrators think right (0), not for less. A look at what others have written must not be
// answered by a replica, which may not have it yet. Neither a socket nor a log is anyone's
// wish here: they would be opened by a process that may open nothing.
constexpr std::array<Setting, 10> settings = {{
    {"rbd_cache", "false"},
    {"rbd_persistent_cache_mode", "disabled", false},
    {"rbd_plugins", "", false},
    {"rbd_blocklist_on_break_lock", "true", false},
    {"rbd_blocklist_expire_seconds", "0", false},
    {"rbd_read_from_replica_policy", "default", false},
    {"rados_replica_read_policy", "default", false},
    {"admin_socket", ""},
    {"log_file", ""},
    {"log_to_stderr", "false"},
}};

} // namespace

RbdCluster::RbdCluster(const RbdLibrary& library, RbdLocation location,
                       std::chrono::milliseconds timeout)
    : library_(library), location_(std::move(location)), timeout_(timeout), pid_(::getpid()) {}

// In another process the threads that these calls wait for do not exist.
RbdCluster::~RbdCluster() {
  if (!is_in_its_process()) {
    return;
  }
  if (pool_ != nullptr) {
    library_.rados_ioctx_destroy(pool_);
  }
  if (cluster_ != nullptr) {
    library_.rados_shutdown(cluster_);
  }
}

bool RbdCluster::is_in_its_process() const {
  return ::getpid() == pid_;
}

Error RbdCluster::error(std::string_view what, int result) const {
  return rbd_error(name(), what, result, timeout_);
}

std::chrono::milliseconds RbdCluster::patience_for(std::chrono::milliseconds timeout) {
  return timeout + grace;
}

// librados asks monitors that do not answer ten times over, each time for as long as its deadline
// says.
Result<std::shared_ptr<RbdCluster>> RbdCluster::connect(const RbdLocation& location,
                                                        std::chrono::milliseconds timeout) {
  const Result<const RbdLibrary*> library = RbdLibrary::load();
  if (!library) {
    return library.error();
  }
  const auto connected =
      call_in_time(patience_for(timeout), [library = *library, location, timeout] {
        return connect_at_leisure(*library, location, timeout);
      });
  return connected ? *connected
                   : rbd_error(location.text, "connect to its cluster", -ETIMEDOUT, timeout);
}

Result<std::shared_ptr<RbdCluster>>
RbdCluster::connect_at_leisure(const RbdLibrary& library, const RbdLocation& location,
                               std::chrono::milliseconds timeout) {
  std::shared_ptr<RbdCluster> cluster(new RbdCluster(library, location, timeout));
  const char* id = location.id.empty() ? nullptr : location.id.c_str();
  if (const int made = library.rados_create(&cluster->cluster_, id); made < 0) {
    return cluster->error("begin", made);
  }
  Status done = cluster->configure();
  if (done) {
    const int connected = library.rados_connect(cluster->cluster_);
    done = connected < 0 ? Status(cluster->connect_error(connected)) : Status();
  }
  if (done) {
    done = cluster->open_pool();
  }
  return done ? Result<std::shared_ptr<RbdCluster>>(std::move(cluster)) : done.error();
}

Error RbdCluster::connect_error(int result) const {
  return result == -ENOENT
             ? Error(ErrorKind::absent,
                     name() + ": cannot connect to its cluster: there are no monitors to be found, "
                              "or there is no key of this user",
                     "conf=FILE or CEPH_CONF names the configuration, id=USER and keyring=FILE "
                     "the user and its key")
             : error("connect to its cluster", result);
}

// As Ceph's own tools do: CEPH_CONF, /etc/ceph/ceph.conf, ...; CEPH_ARGS and CEPH_KEYRING; and
// what the location says, which counts more.
Status RbdCluster::read_configuration() {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): nothing of ours changes the environment.
  const char* of_environment = ::secure_getenv("CEPH_CONF");
  const std::string named =
      location_.conf.empty() && of_environment != nullptr ? of_environment : location_.conf;
  const bool is_named = !named.empty();
  const int read = library_.rados_conf_read_file(cluster_, is_named ? named.c_str() : nullptr);
  // Monitors may be named in the location.
  if (read < 0 && (is_named || read != -ENOENT)) {
    Error error = this->error("read the configuration " + named, read);
    return Error(error.kind(), error.cause(), "conf=FILE names it, or CEPH_CONF");
  }
  const int taken = library_.rados_conf_parse_env(cluster_, nullptr);
  return taken < 0 ? Status(error("take what CEPH_ARGS says", taken)) : Status();
}

Status RbdCluster::set(const char* option, const std::string& value) {
  const int done = library_.rados_conf_set(cluster_, option, value.c_str());
  if (done < 0) {
    return Error(
        ErrorKind::invalid_argument,
        fmt::format("rbd:{}: {} {}", location_.spec(),
                    done == -ENOENT ? "Ceph has no option" : "Ceph does not take the value of",
                    option));
  }
  return {};
}

Status RbdCluster::configure() {
  Status done = read_configuration();
  for (auto setting = location_.settings.begin(); done && setting != location_.settings.end();
       ++setting) {
    done = set(setting->first.c_str(), setting->second);
  }
  for (auto setting = settings.begin(); done && setting != settings.end(); ++setting) {
    done = set(setting->option, setting->value);
    done = setting->is_known_everywhere ? done : Status();
  }
  // Whole ones: Ceph takes no others.
  const std::string seconds =
      std::to_string(std::chrono::ceil<std::chrono::seconds>(timeout_).count());
  done = done ? set("rados_osd_op_timeout", seconds) : done;
  done = done ? set("rados_mon_op_timeout", seconds) : done;
  return done ? set("client_mount_timeout", seconds) : done;
}

Status RbdCluster::open_pool() {
  const int opened = library_.rados_ioctx_create(cluster_, location_.pool.c_str(), &pool_);
  if (opened == -ENOENT) {
    return Error(ErrorKind::absent,
                 fmt::format("{}: the cluster has no pool {}", name(), location_.pool),
                 "`ceph osd pool ls` names those that there are");
  }
  if (opened < 0) {
    return error("open the pool " + location_.pool, opened);
  }
  if (location_.name_space.empty()) {
    return {};
  }
  bool exists = false;
  const int found = library_.rbd_namespace_exists(pool_, location_.name_space.c_str(), &exists);
  if (found < 0) {
    return error("look for the namespace " + location_.name_space, found);
  }
  if (!exists) {
    return Error(ErrorKind::absent,
                 fmt::format("{}: the pool {} has no namespace {}", name(), location_.pool,
                             location_.name_space),
                 fmt::format("`rbd namespace ls {0}` names them; `rbd namespace create {0}/{1}` "
                             "makes it",
                             location_.pool, location_.name_space));
  }
  library_.rados_ioctx_set_namespace(pool_, location_.name_space.c_str());
  return {};
}

// A call of librados' that takes what it only reads as something to be changed.
int RbdCluster::shut_out(const std::string& address) {
  std::string own = address;
  return library_.rados_blocklist_add(cluster_, own.data(), fence_seconds);
}

int RbdCluster::wait_for_map() {
  return library_.rados_wait_for_latest_osdmap(cluster_);
}

std::uint64_t RbdCluster::instance() const {
  return library_.rados_get_instance_id(cluster_);
}

Status RbdCluster::fence_itself() {
  char* addresses = nullptr;
  int done = library_.rados_getaddrs(cluster_, &addresses);
  if (done >= 0) {
    done = shut_out(addresses);
    library_.rados_buffer_free(addresses);
  }
  return done < 0 ? Status(error("have the cluster shut this client out", done)) : Status();
}

} // namespace vnvram
