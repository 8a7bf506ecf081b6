#include "device/rbd_settings.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>
#include <vector>

#include <fmt/core.h>

#include "device/rbd_handle.h"

namespace vnvram {
namespace {

struct NeededSetting {
  std::string_view option;
  std::string_view value;
  const char* trouble; ///< What is so if it is otherwise.
};
constexpr const char* not_durable = "with it librbd calls durable what is not";
constexpr const char* not_fenced = "with it an owner that lost the image could go on writing";
constexpr const char* not_newest = "with it another owner's writes may not be seen";
constexpr std::array<NeededSetting, 6> needed_settings = {{
    {"rbd_cache", "false", not_durable},
    {"rbd_persistent_cache_mode", "disabled", not_durable},
    {"rbd_plugins", "", not_durable},
    {"rbd_blocklist_on_break_lock", "true", not_fenced},
    {"rbd_blocklist_expire_seconds", "0", not_fenced},
    {"rbd_read_from_replica_policy", "default", not_newest},
}};

/// None: it is as needed, or none of those.
const NeededSetting* broken_by(const rbd_config_option_t& option) {
  const auto* const needed =
      std::find_if(needed_settings.begin(), needed_settings.end(),
                   [&](const NeededSetting& one) { return one.option == option.name; });
  return needed == needed_settings.end() || needed->value == option.value ? nullptr : needed;
}

Error wrongly_set(const RbdCluster& cluster, const rbd_config_option_t& option,
                  const char* trouble) {
  const RbdLocation& location = cluster.location();
  const bool is_of_image = option.source == RBD_CONFIG_SOURCE_IMAGE;
  return {ErrorKind::unsupported,
          fmt::format("{}: {}={} is set for {}, and {}", cluster.name(), option.name, option.value,
                      is_of_image ? "the image" : "its pool", trouble),
          is_of_image ? fmt::format("rbd config image rm {} {}", location.spec(), option.name)
                      : fmt::format("rbd config pool rm {} {}", location.pool, option.name)};
}

} // namespace

Status check_rbd_settings(const RbdHandle& image) {
  const RbdLibrary& library = image.library();
  int count = 0;
  std::vector<rbd_config_option_t> options;
  int listed = -ERANGE;
  while (listed == -ERANGE) {
    count = std::max(64, 2 * std::max(count, static_cast<int>(options.size())));
    options.resize(static_cast<std::size_t>(count));
    listed = library.rbd_config_image_list(image.image(), options.data(), &count);
  }
  if (listed < 0) {
    return image.cluster().error("find out about its settings", listed);
  }
  Status done;
  for (auto option = options.begin(); done && option != options.begin() + count; ++option) {
    if (const NeededSetting* const broken = broken_by(*option); broken != nullptr) {
      done = wrongly_set(image.cluster(), *option, broken->trouble);
    }
  }
  library.rbd_config_image_list_cleanup(options.data(), count);
  return done;
}

} // namespace vnvram
