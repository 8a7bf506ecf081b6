#include "cli/info_command.h"

#include <cerrno>
#include <csignal>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "base/hex.h"
#include "base/host_name.h"
#include "base/plain_text.h"
#include "base/size_text.h"
#include "base/uuid.h"
#include "cli/lost_file.h"
#include "cli/owner_socket.h"
#include "cli/owner_text.h"
#include "cli/reader.h"
#include "cli/reservation_json.h"
#include "cli/text.h"
#include "device/image_format.h"
#include "device/place_probe.h"
#include "store/move_marks.h"

namespace vnvram::cli {
namespace {

// What is known of where the image is; an owner does not tell.
struct Place {
  ImageFormat format = ImageFormat::raw;
  std::optional<LostFile> lost;
  std::optional<bool> locked; ///< Nothing: that cannot be seen.
  std::optional<ReservationLook> reservation;
  SeenMove move;
};

// Nothing: that cannot be seen from here.
std::optional<bool> seems_alive(const StoreInfo& info, const std::optional<Place>& place) {
  if (info.owner_pid == 0 || !place) {
    return std::nullopt;
  }
  if (place->locked) {
    return place->locked;
  }
  if (info.owner_host.empty() || info.owner_host != host_name()) {
    return std::nullopt;
  }
  return ::kill(static_cast<pid_t>(info.owner_pid), 0) == 0 || errno != ESRCH;
}

std::string move_text(const SeenMove& move) {
  if (move.to) {
    return fmt::format("sealed: it was moved to {}", plain_text(*move.to));
  }
  return move.came
             ? fmt::format("sealed: moved from {}, and not opened here yet", plain_text(*move.from))
             : "sealed; " + move.came.error().cause();
}

std::string state_text(const StoreInfo& info, const std::optional<Place>& place) {
  if (place && (place->move.to || place->move.from)) {
    return move_text(place->move);
  }
  if (info.sealed) {
    return info.hand_over.is_none()
               ? "sealed: its state was handed over to another machine, a snapshot or a file"
               : fmt::format(
                     "sealed for a hand-over to another host, which has not gone on with it "
                     "yet; {} had it last",
                     info.owner_pid == 0 ? "somebody" : owner_text(info));
  }
  if (info.clean) {
    return "clean";
  }
  const std::string who = owner_text(info);
  if (!place) {
    return "in use by " + who + ", which says so itself";
  }
  if (!place->locked) {
    const std::optional<bool> lives = seems_alive(info, place);
    return "in use, or not closed in good order, by " + who +
           (!lives   ? ""
            : *lives ? "; there is such a process"
                     : "; there is no such process");
  }
  return *place->locked ? fmt::format("in use by {}; somebody has its lock", who)
                        : fmt::format("not closed in good order by {}; nobody has its lock", who);
}

std::string info_text(const StoreInfo& info, const std::optional<Place>& place) {
  std::string text;
  const auto line = [&](std::string_view name, const std::string& value) {
    text += fmt::format("{:<17}{}\n", std::string(name) + ":", value);
  };
  line("uuid", uuid_text(info.uuid));
  line("format", std::to_string(info.format_version));
  line("state", state_text(info, place));
  if (info.encrypted) {
    line("encrypted", "yes");
  }
  line("generation", std::to_string(info.generation));
  line("epoch", std::to_string(info.epoch));
  line("image", format_size(info.image_size_bytes));
  if (place && place->format != ImageFormat::raw) {
    line("in a VM image", std::string(image_format_name(place->format)));
  }
  line("ring", fmt::format("{}, {} used", format_size(info.ring_size_bytes),
                           format_size(info.ring_used_bytes)));
  line("space for blobs", fmt::format("{}, {} free", format_size(info.space_size_bytes),
                                      format_size(info.space_free_bytes)));
  line("largest blob", format_size(info.blob_size_max_bytes));
  line("blobs", std::to_string(info.blob_count));
  if (place && place->reservation) {
    line("reservation", place->reservation->text());
  }
  if (place && place->lost) {
    line("trouble", place->lost->text());
  }
  return text;
}

nlohmann::ordered_json lost_json(const std::optional<LostFile>& lost) {
  return lost ? lost->json() : nlohmann::ordered_json();
}

nlohmann::ordered_json place_json(const std::optional<std::string>& place) {
  return place ? nlohmann::ordered_json(*place) : nlohmann::ordered_json();
}

nlohmann::ordered_json info_json(const StoreInfo& info, const std::optional<Place>& place) {
  nlohmann::ordered_json json = {{"uuid", uuid_text(info.uuid)},
                                 {"format_version", info.format_version},
                                 {"generation", info.generation},
                                 {"epoch", info.epoch},
                                 {"image_size_bytes", info.image_size_bytes}};
  if (place) {
    json["image_format"] = image_format_name(place->format);
  }
  json.update({{"ring_size_bytes", info.ring_size_bytes},
               {"ring_used_bytes", info.ring_used_bytes},
               {"space_size_bytes", info.space_size_bytes},
               {"space_free_bytes", info.space_free_bytes},
               {"blob_size_max_bytes", info.blob_size_max_bytes},
               {"blob_count", info.blob_count},
               {"clean", info.clean},
               {"sealed", info.sealed},
               {"encrypted", info.encrypted},
               {"owner_pid", info.owner_pid},
               {"owner_host", info.owner_host},
               {"owner_since_seconds", info.owner_since_seconds},
               {"hand_over", info.hand_over.is_none()
                                 ? nlohmann::ordered_json()
                                 : nlohmann::ordered_json(hex(info.hand_over.bytes))}});
  if (place) {
    const std::optional<bool> lives = seems_alive(info, place);
    json["owner_seems_alive"] = lives ? nlohmann::ordered_json(*lives) : nlohmann::ordered_json();
    json["locked"] =
        place->locked ? nlohmann::ordered_json(*place->locked) : nlohmann::ordered_json();
    json["reservation"] = reservation_json(place->reservation);
    json["lost_file"] = lost_json(place->lost);
    json["moved_to"] = place_json(place->move.to);
    json["moved_from"] = place_json(place->move.from);
  }
  return json;
}

std::optional<bool> is_locked(const std::string& location, const DeviceOptions& options) {
  const Status free = look_for_owner(location, options);
  return free || free.error().kind() == ErrorKind::in_use ? std::optional(!free.ok())
                                                          : std::nullopt;
}

void show(const StoreInfo& info, const std::optional<Place>& place, bool as_json, Output& output) {
  if (as_json) {
    output.write_json(info_json(info, place));
  } else {
    output.write_text(info_text(info, place));
  }
}

} // namespace

InfoCommand::InfoCommand(CLI::App& parent)
    : Command(parent, "info", "show what an image says about itself",
              "Works beside a program that has the image in use, and says whether that has its "
              "lock still: whose it was that has none is gone, or is on a host whose locks are not "
              "seen here. Says so if one has a file of this "
              "name open that was removed or replaced; and of a block device which host has it "
              "reserved, and whether this one could reserve it.\n"
              "An owner is asked by unix:PATH; it does not say in what kind of file the image is, "
              "nor whether that was lost.\n\n"
              "Examples:\n"
              "  vnvram info vm.nvram\n"
              "  vnvram info --json vm.nvram | jq .space_free_bytes") {
  add_image_or_owner();
  app().add_flag("--json", json_, "print JSON");
}

Result<ExitCode> InfoCommand::ask_owner(Output& output) {
  if (const Status fit = check_for_owner(); !fit) {
    return fit.error();
  }
  const auto owner = connect_owner(image());
  const Result<StoreInfo> info = owner ? (*owner)->image() : Result<StoreInfo>(owner.error());
  if (!info) {
    return info.error();
  }
  show(*info, std::nullopt, json_, output);
  return ExitCode::ok;
}

Result<ExitCode> InfoCommand::run(Output& output) {
  if (is_owner_socket(image())) {
    return ask_owner(output);
  }
  StoreInfo info;
  SeenMove move;
  const std::optional<bool> locked = is_locked(image(), device()); // Before a VM image's are taken.
  const Status status = read_image(image(), device(), keys(), [&](Store& store) -> Status {
    info = store.info();
    move = see_move(store.device());
    return {};
  });
  std::optional<LostFile> lost = find_lost_file(image());
  if (!status) {
    if (json_ && lost && status.error().kind() == ErrorKind::absent) {
      output.write_json({{"lost_file", lost->json()}});
    }
    return status.error();
  }
  const Result<ImageContainer> container = find_container(image(), device());
  show(info,
       Place{.format = container ? container->format : ImageFormat::raw,
             .lost = std::move(lost),
             .locked = locked,
             .reservation = look_for_reservation(image()),
             .move = std::move(move)},
       json_, output);
  return ExitCode::ok;
}

} // namespace vnvram::cli
