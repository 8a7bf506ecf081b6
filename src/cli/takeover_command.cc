#include "cli/takeover_command.h"

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "base/uuid.h"
#include "cli/owner_text.h"
#include "cli/reader.h"
#include "cli/take_over_options.h"
#include "vnvram/store.h"

namespace vnvram::cli {
namespace {

void show(const StoreInfo& before, const StoreInfo& after, bool as_json, Output& output) {
  if (as_json) {
    output.write_json({{"uuid", uuid_text(after.uuid)},
                       {"taken_over", !before.clean},
                       {"owner_pid", before.owner_pid},
                       {"owner_host", before.owner_host},
                       {"generation", after.generation},
                       {"epoch", after.epoch}});
    return;
  }
  const std::string what = fmt::format("generation {}, epoch {}", after.generation, after.epoch);
  output.write_text(before.clean
                        ? fmt::format("nobody had it in use: {}\n", what)
                        : fmt::format("taken over from {}: {}\n", owner_text(before), what));
}

} // namespace

TakeoverCommand::TakeoverCommand(CLI::App& parent)
    : Command(
          parent, "takeover", "take an image over from an owner that is gone, or silent",
          "For a machine whose host is dead, or is not heard of any more, and that is to go on "
          "here.\n"
          "In a Ceph cluster its owner is shut out, living or not (the cluster's blocklist), "
          "and the\n"
          "command waits until that is in force; so it is on a SCSI or NVMe device that the "
          "owner's\n"
          "host has reserved (`serve --reservation`), which is this host's then. No other "
          "storage can\n"
          "do that: there it takes your word, --owner-is-dead, that nothing writes to the image "
          "any\n"
          "more. Then what the owner has committed is recovered, and the image closed: start "
          "the\n"
          "machine as usual. An owner that comes back to life commits nothing more, and says "
          "why. A\n"
          "lock that a living process holds is never broken: end that process.\n\n"
          "Examples:\n"
          "  vnvram takeover rbd:nvram/vm1\n"
          "  vnvram takeover /dev/disk/by-id/wwn-0x6001405a1b2c3d4e\n"
          "  vnvram takeover nbd://storage/vm1 --owner-is-dead"),
      anchor_(AnchorOptions::of_work(app())) {
  add_image();
  add_owner_is_dead(app(), owner_is_dead_);
  app().add_flag("--json", json_, "print JSON");
}

Result<ExitCode> TakeoverCommand::run(Output& output) {
  const Result<AnchorUse> anchor = anchor_.open();
  if (!anchor) {
    return anchor.error();
  }
  Result<std::unique_ptr<BlockDevice>> device = open_image(Access::read_write);
  if (!device) {
    return device.error();
  }
  const OwnerWord word = owner_is_dead_ ? OwnerWord::is_dead : OwnerWord::nothing;
  if (Status taken = take_over(**device, word, keys()); !taken) {
    return taken.error();
  }
  StoreInfo before; // Of an owner that writes nothing any more.
  if (Status read = read_image(image(), this->device(), keys(),
                               [&](Store& store) -> Status {
                                 before = store.info();
                                 return {};
                               });
      !read) {
    return read.error();
  }
  const auto store = Store::open(
      *std::move(device),
      {.background = false, .keys = keys(), .accept_unclosed = true, .anchor = *anchor});
  if (!store) {
    return store.error();
  }
  if (Status closed = (*store)->close(); !closed) {
    return closed.error();
  }
  show(before, (*store)->info(), json_, output);
  return ExitCode::ok;
}

} // namespace vnvram::cli
