#include "cli/reader.h"

#include "base/operator_text.h"
#include "base/size_text.h"
#include "cli/input.h"
#include "vnvram/space.h"

namespace vnvram::cli {
namespace {

constexpr int attempts_max = 50;

Status read_once(const std::string& path, const DeviceOptions& options, const KeyRing& keys,
                 const std::function<Status(Store&)>& use) {
  auto device = open_device(path, Access::read_only, options);
  if (!device) {
    return device.error();
  }
  const auto store = Store::open(std::move(*device),
                                 {.access = Access::read_only, .background = false, .keys = keys});
  if (!store) {
    return store.error();
  }
  return use(**store);
}

} // namespace

Status retry_while_stale(const std::function<Status()>& attempt) {
  Status status;
  for (int count = 0; count < attempts_max; ++count) {
    status = attempt();
    if (status.ok() || status.error().kind() != ErrorKind::stale) {
      break;
    }
  }
  return status;
}

Status read_image(const std::string& path, const DeviceOptions& device, const KeyRing& keys,
                  const std::function<Status(Store&)>& use) {
  return retry_while_stale([&] { return read_once(path, device, keys, use); });
}

Status look_before_writing(const std::string& path, const DeviceOptions& options,
                           const KeyRing& keys, const std::function<Status(Store&)>& use) {
  const Status looked = read_image(path, options, keys, use);
  if (looked || looked.error().kind() != ErrorKind::io) {
    return looked;
  }
  const auto writable = open_device(path, Access::read_write, options);
  return !writable && writable.error().kind() == ErrorKind::read_only ? writable.error() : looked;
}

void add_space_option(CLI::App& app, std::string& space) {
  app.add_option("--space", space,
                 "where the image was copied without all of its space: reserve it, or do not begin "
                 "(the default); warn, and go on; ignore it")
      ->type_name("reserve|warn|ignore");
}

Result<std::unique_ptr<Store>> open_for_writing(const std::string& path,
                                                const DeviceOptions& options, const KeyRing& keys,
                                                const std::string& space,
                                                const AnchorOptions& anchor,
                                                std::uint64_t grow_max_bytes) {
  const Result<SpacePolicy> policy = parse_space_policy(space);
  if (!policy) {
    return policy.error();
  }
  Result<AnchorUse> use = anchor.open();
  if (!use) {
    return use.error();
  }
  if (Status lengthened = lengthen_vm_image(path, grow_max_bytes, options); !lengthened) {
    return lengthened.error();
  }
  auto device = open_device(path, Access::read_write, options);
  if (!device) {
    return device.error();
  }
  set_space_policy(**device, *policy, [](const Error& error) { show_note(operator_text(error)); });
  return Store::open(std::move(*device),
                     {.background = false,
                      .keys = keys,
                      .anchor = *std::move(use),
                      .grow_max_bytes = grow_max_bytes,
                      .grown = [path](std::uint64_t from_bytes, std::uint64_t to_bytes) {
                        show_note(path + " " + growth_text(from_bytes, to_bytes));
                      }});
}

} // namespace vnvram::cli
