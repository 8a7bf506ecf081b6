#include "cli/move_command.h"

#include <chrono>
#include <memory>
#include <string_view>
#include <utility>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "backup/store_move_source.h"
#include "base/plain_text.h"
#include "base/size_text.h"
#include "cli/input.h"
#include "cli/owner_socket.h"
#include "device/location.h"
#include "store/move_marks.h"

namespace vnvram::cli {
namespace {

constexpr std::chrono::seconds wait_max{60};
constexpr std::chrono::milliseconds pause{10};

/// What is left to be done by hand when nobody knows which of the two is the image.
Error undecided(const MoveReport& report, const Error& error) {
  return {error.kind(),
          fmt::format("{}; one of {} and {} opens, and is the image", error.cause(), report.from,
                      location_name(report.place)),
          "`vnvram check` of both says which; delete none before"};
}

Error at_new_place(const MoveReport& report, const Error& error) {
  const std::string place = location_name(report.place);
  return {error.kind(),
          fmt::format("{}; the image is at {}: it was moved, and {} is sealed", error.cause(),
                      place, report.from),
          error.remedy().empty() ? fmt::format("open it at {}", place) : error.remedy()};
}

Error no_owner_came(const std::string& socket, const MoveReport& report) {
  constexpr const char* silence = "{}: no owner has come within {} s{}{}";
  const std::string_view why = report.undecided ? report.undecided->cause() : std::string_view();
  const Error silent(ErrorKind::io,
                     fmt::format(silence, socket, wait_max.count(), why.empty() ? "" : ": ", why),
                     report.undecided ? "" : "the log of vnvram serve says why");
  return report.undecided ? undecided(report, silent) : at_new_place(report, silent);
}

bool is_sealed(const OwnerStatus& status) {
  return !status.image || status.image->sealed;
}

} // namespace

MoveCommand::MoveCommand(CLI::App& parent)
    : Command(
          parent, "move", "let an image go on at another place, under a machine that runs",
          "With the control socket of its owner: the image is copied to TO while the machine goes\n"
          "on, then what was written meanwhile; then its changes are held, the rest is copied, "
          "the\n"
          "old place is sealed, and `vnvram serve` goes on at the new one. The machine's devices\n"
          "wait for that, some ten milliseconds, and lose nothing. Whenever it is cut, exactly "
          "one\n"
          "of the two places opens for writing. If it fails, or is ended (SIGINT), before the old\n"
          "place is sealed, nothing has happened, and what was made is taken away.\n\n"
          "Afterwards name the new place wherever the old one was named: whoever opens the old "
          "one\n"
          "is refused, and told where it is. Then it can be deleted.\n\n"
          "An image that nobody has open is moved in the same way. TO is what `copy` takes as "
          "OUT,\n"
          "and must be reachable for the owner by the same name. The image is the same: UUID, key\n"
          "slots, labels, and its anchor.\n\n"
          "Examples:\n"
          "  vnvram move unix:/run/vm1/owner.sock /dev/vg1/vm1-nvram --rate-bytes 10M\n"
          "  vnvram move unix:/run/vm1/owner.sock rbd:pool/vm1-nvram\n"
          "  vnvram move vm.nvram /srv/new/vm.nvram"),
      anchor_(AnchorOptions::of_work(app())) {
  add_image_or_owner();
  copy_.add_to(app(), "the new place", ", at first");
}

Status MoveCommand::check_places() const {
  const Status fit = copy_.check_places(image());
  return fit && is_owner_socket(image()) ? check_for_owner() : fit;
}

std::string MoveCommand::left_if_ended(const std::string& from) const {
  return fmt::format("the image is still at {}; {}", from, copy_.left_if_ended());
}

Result<MoveReport> MoveCommand::move_by_owner(CopyRun& run) const {
  const auto owner = run.connect(image());
  if (!owner) {
    return owner.error();
  }
  const Result<OwnerStatus> status = (*owner)->status();
  if (const Status fit = status ? copy_.check_place(*status) : status.error(); !fit) {
    return fit.error();
  }
  run.leaves(left_if_ended(status->location));
  OwnerMoveSource source(**owner, image());
  Result<MoveReport> report = move_image(source, run.target(), run.before_read());
  if (report) { // From here on each error says where the image is.
    run.leaves("");
  }
  return report ? wait_for_next(run, source, *std::move(report)) : report;
}

// The socket stays, or comes back: whoever connects is answered by one of the two, or by nobody.
Result<MoveReport> MoveCommand::wait_for_next(CopyRun& run, const OwnerMoveSource& source,
                                              MoveReport report) const {
  const auto until = std::chrono::steady_clock::now() + wait_max;
  for (;;) {
    const auto owner = run.connect(image());
    const Result<OwnerStatus> status = owner ? (*owner)->status() : owner.error();
    if (status && status->location == location_name(report.place)) {
      report.undecided.reset();
      return report;
    }
    if (status && report.undecided && !is_sealed(*status)) {
      source.end_hold(**owner, *status);
      const Result<OwnerStatus> now = (*owner)->status();
      if (now && !is_sealed(*now)) {
        return Error(
            report.undecided->kind(),
            fmt::format("{}; the image is still {}", report.undecided->cause(), now->location),
            fmt::format("delete {}: nobody can open it", location_name(report.place)));
      }
    }
    if (std::chrono::steady_clock::now() >= until) {
      return no_owner_came(image(), report);
    }
    const Status waited = run.end().wait_until(std::chrono::steady_clock::now() + pause);
    if (!waited) {
      return report.undecided ? undecided(report, waited.error())
                              : at_new_place(report, waited.error());
    }
  }
}

// Its next owner need not look at where it was: that may be gone by then.
Result<MoveReport> MoveCommand::move(CopyRun& run) const {
  const Result<AnchorUse> anchor = anchor_.open();
  auto device = anchor ? open_image(Access::read_write)
                       : Result<std::unique_ptr<BlockDevice>>(anchor.error());
  if (!device) {
    return device.error();
  }
  const OpenOptions options{.background = false, .keys = keys(), .anchor = *anchor};
  const auto store = Store::open(*std::move(device), options);
  if (!store) {
    return store.error();
  }
  run.leaves(left_if_ended(location_name(image())));
  StoreMoveSource source(**store, location_name_elsewhere(image()), keys());
  Result<MoveReport> report = move_image(source, run.target(), run.before_read());
  if (report) { // From here on each error says where the image is.
    run.leaves("");
  }
  const Status closed = (*store)->close();
  if (!report) {
    return report;
  }
  if (report->undecided) {
    return undecided(*report, *report->undecided);
  }
  if (!closed) { // The seal is there: whatever this is, it is not at the new place.
    show_note(plain_text(closed.error().cause()));
  }
  OpenOptions by_number = options;
  by_number.go_on = GoOn{.hand_over = report->number};
  const Status gone_on = go_on(by_number);
  return gone_on ? report : at_new_place(*report, gone_on.error());
}

Status MoveCommand::go_on(const OpenOptions& by_number) const {
  auto moved = open_device(copy_.place(), Access::read_write, copy_.device());
  const auto opened = moved ? Store::open(*std::move(moved), by_number)
                            : Result<std::unique_ptr<Store>>(moved.error());
  Status done = opened ? (*opened)->unseal() : Status(opened.error());
  done = done ? (*opened)->set_metadata(moved_from_name, std::nullopt) : done;
  return done ? (*opened)->close() : done;
}

void MoveCommand::show(const MoveReport& report, Output& output) const {
  if (copy_.json()) {
    output.write_json({{"uuid", uuid_text(report.uuid)},
                       {"place", location_name(report.place)},
                       {"generation", report.generation},
                       {"image_size_bytes", report.image_size_bytes},
                       {"encrypted", report.encrypted},
                       {"rounds", report.rounds},
                       {"held_bytes", report.held_bytes}});
    return;
  }
  output.write_text(fmt::format("{}: image {}, {}, from generation {} on\n",
                                plain_text(location_name(report.place)), uuid_text(report.uuid),
                                format_size(report.image_size_bytes), report.generation));
  output.write_text("note: name it wherever the old place is named; that one is sealed, and can be "
                    "deleted\n");
}

Result<ExitCode> MoveCommand::run(Output& output) {
  if (const Status fit = check_places(); !fit) {
    return fit.error();
  }
  const auto run = CopyRun::begin(copy_, "move");
  if (!run) {
    return run.error();
  }
  const Result<MoveReport> report = is_owner_socket(image()) ? move_by_owner(**run) : move(**run);
  (*run)->finish(report ? Status() : report.error());
  if (!report) {
    return report.error();
  }
  show(*report, output);
  return ExitCode::ok;
}

} // namespace vnvram::cli
