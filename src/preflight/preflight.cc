#include "preflight/preflight.h"

#include <algorithm>
#include <iterator>
#include <string_view>
#include <utility>

#include <fmt/core.h>

#include "backup/opened_part.h"
#include "base/host_name.h"
#include "base/plain_text.h"
#include "device/location.h"
#include "device/reservation_look.h"
#include "device/unclosed_image.h"
#include "format/superblock.h"
#include "preflight/tpm_preflight.h"
#include "store/move_marks.h"
#include "store/sealed_error.h"
#include "store/superblock_reader.h"
#include "store/written_ranges.h"

namespace vnvram {
namespace {

// How often it is looked again when an owner was faster: each look has tried often already.
constexpr int looks_max = 3;

std::string milliseconds(std::chrono::nanoseconds time) {
  return fmt::format("{:.2f} ms", std::chrono::duration<double, std::milli>(time).count());
}

bool is_this_host(const std::string& name) {
  return name == host_name();
}

std::string owner_text(const StoreInfo& info) {
  if (info.owner_pid == 0) {
    return "an owner that nothing is known of";
  }
  const std::string host =
      info.owner_host.empty() ? "an unnamed host" : plain_text(info.owner_host);
  return fmt::format("process {} on {}{}", info.owner_pid, host,
                     is_this_host(info.owner_host) ? ", this one" : "");
}

// Whoever opens it says what is wrong with it.
ImageFormat format_of(const std::string& location, const DeviceOptions& options) {
  if (is_served(location) || descriptor_of(location)) {
    return ImageFormat::raw;
  }
  const auto container = find_container(location, options);
  return container ? container->format : ImageFormat::raw;
}

std::string damage_text(const CheckReport& report) {
  const auto lost = std::ranges::find_if(report.problems, &CheckProblem::data_lost);
  const CheckProblem& first = lost != report.problems.end() ? *lost : report.problems.front();
  return fmt::format("{} problem(s), the first: {}: {}", report.problems.size(), first.place,
                     first.what);
}

} // namespace

const Error* PreflightReport::first_reason() const {
  const auto found =
      std::ranges::find(findings, PreflightFinding::Outcome::refusal, &PreflightFinding::outcome);
  return found == findings.end() ? nullptr : &*found->reason;
}

void Preflight::add(const char* about, Outcome outcome, std::string text) {
  report_.findings.push_back({about, outcome, std::move(text)});
}

void Preflight::refuse(const char* about, const Error& error) {
  report_.findings.push_back(PreflightFinding::refusal(about, error));
}

PreflightReport Preflight::run() {
  image_format_ = format_of(location_, options_.device);
  check_lock(); // Before a VM image is opened: that takes locks of its own.
  bool can_be_read = false;
  {
    const auto device = open_device(location_, Access::read_only, options_.device);
    if (device) {
      can_be_read = check_format(**device);
    } else {
      refuse("place", device.error());
    }
  } // A server that lets one client in at a time has room for the next question then.
  if (std::ranges::find(report_.findings, "place", &PreflightFinding::about) ==
      report_.findings.end()) {
    check_rights();
    check_reservation();
    check_space();
    check_durability();
  }
  if (can_be_read) {
    check_content();
  }
  return std::move(report_);
}

void Preflight::check_lock() {
  const Status free = look_for_owner(location_, options_.device);
  if (free) {
    is_locked_ = false;
  } else if (free.error().kind() == ErrorKind::in_use) {
    is_locked_ = true;
    lock_error_ = free.error();
  }
}

bool Preflight::check_format(BlockDevice& device) {
  device_can_ = device.capabilities();
  const Result<format::Superblock> superblock = find_superblock(device);
  if (!superblock) {
    refuse("format", superblock.error());
    return false;
  }
  written_ranges_ = written_ranges(device, *superblock);
  add("format", Outcome::good,
      fmt::format("version {}{}", superblock->format_version,
                  format::is_encrypted(*superblock) ? ", encrypted" : ""));
  return true;
}

void Preflight::check_rights() {
  if (const Status may = look_for_rights(location_, options_.device); may) {
    add("rights", Outcome::good, "this user can write to it");
  } else {
    refuse("rights", may.error());
  }
}

// What is asked for a reservation says so when it starts; who did not ask for one only learns here
// that there could be none.
void Preflight::check_reservation() {
  const std::optional<ReservationLook> look = look_for_reservation(location_);
  if (!look) {
    return;
  }
  using Holder = ReservationLook::Holder;
  if (look->holder == Holder::another_host && !options_.incoming) {
    refuse("reservation", {ErrorKind::in_use, location_ + ": " + look->text(),
                           "end its owner there; if that host is dead: `takeover`"});
    return;
  }
  const bool is_as_may_be = look->holder == Holder::nobody || look->holder == Holder::this_host ||
                            look->holder == Holder::another_host;
  const bool has_none = !look->possible && !look->lacks_right && !look->holder;
  add("reservation", (is_as_may_be && look->possible) || has_none ? Outcome::good : Outcome::note,
      look->text());
}

void Preflight::check_space() {
  if (image_format_ != ImageFormat::raw) {
    add("space", Outcome::unknown, "what a VM image lacks is looked for at the start alone");
    return;
  }
  const std::optional<SpaceLook> space = look_for_space(location_, written_ranges_);
  if (!space || written_ranges_.empty()) {
    return;
  }
  const std::uint64_t needed_bytes = space->missing_bytes + space->shared_bytes;
  const bool is_enough = needed_bytes <= space->free_bytes;
  if (space->missing_bytes > space->free_bytes || (!is_enough && space->unshares)) {
    refuse("space",
           {ErrorKind::no_space,
            fmt::format("{}: the file lacks the space of {} bytes{}, and its file system has {} "
                        "left",
                        location_, needed_bytes,
                        space->shared_bytes == 0
                            ? ""
                            : fmt::format(" ({} of them are a copy's, too)", space->shared_bytes),
                        space->free_bytes),
            "make room there"});
  } else if (space->shared_bytes > 0) {
    add("space", Outcome::note,
        fmt::format("{} bytes of the file are a copy's, too, and need space of their own; {} bytes "
                    "are free{}",
                    space->shared_bytes, space->free_bytes,
                    is_enough ? "" : ", which is not enough: a commit may fail"));
  } else if (space->missing_bytes > 0) {
    add("space", Outcome::note,
        fmt::format("{} bytes of the file have no space of their own yet; there is enough",
                    space->missing_bytes));
  } else {
    add("space", Outcome::good, "all of it has its space");
  }
}

void Preflight::check_durability() {
  Result<MeasuredDurability> measured = measure_durability(location_, options_.device);
  if (!measured && (measured.error().kind() == ErrorKind::unsupported ||
                    measured.error().kind() == ErrorKind::read_only)) {
    add("durability", Outcome::unknown, measured.error().cause());
    return;
  }
  if (!measured) {
    refuse("durability", measured.error());
    return;
  }
  report_.durability = *measured;
  if (measured->volatile_place) {
    add("durability", Outcome::note, "it is in memory: nothing of it is there after a reboot");
    return;
  }
  add("durability", Outcome::good,
      fmt::format("{}, the longest of {} {} ({})", milliseconds(measured->median), measured->count,
                  milliseconds(measured->longest), measured->what));
}

// A lock that is seen is an owner. One that is not seen is none where this host could see it.
void Preflight::check_owner(const StoreInfo& info) {
  const std::string who = owner_text(info);
  if (is_locked_.value_or(false)) {
    const std::string text = info.clean ? std::string("another program has it open for writing")
                                        : "in use by " + who + "; somebody has its lock";
    if (options_.incoming) {
      add("lock", Outcome::good, text);
    } else {
      // Without an owner it is somebody else's lock, who is named there.
      refuse("lock", info.clean
                         ? lock_error_.value()
                         : Error(ErrorKind::in_use, location_ + ": " + text, "stop it first"));
    }
  } else if (info.clean) {
    add("lock", is_locked_ ? Outcome::good : Outcome::unknown,
        is_locked_ ? "nobody has it" : "its last owner has closed it; there is no lock to look at");
  } else if (const LastOwner owner{.pid = info.owner_pid, .host = info.owner_host};
             may_be_open_elsewhere(device_can_, owner)) {
    if (options_.incoming) {
      add("lock", Outcome::note,
          fmt::format("{} has not closed it: it can come by a hand-over (--shared); without that a "
                      "start is refused until that one has ended, or `takeover`",
                      who));
    } else {
      refuse("lock", open_elsewhere(location_, owner));
    }
  } else if (is_locked_) {
    add("lock", Outcome::note,
        fmt::format("not closed in good order by {}, and no lock of it is seen here{}", who,
                    is_this_host(info.owner_host) ? "" : ": make sure that it is not running"));
  } else {
    add("lock", Outcome::unknown,
        fmt::format("in use, or not closed in good order, by {}: there is no lock to look at{}",
                    who,
                    options_.incoming ? ""
                                      : ", and none to keep out who starts here: if that one "
                                        "lives, the image is taken from it"));
  }
}

// A move's seal is for whoever opens the new place next, and for no machine that comes.
void Preflight::check_seal(Store& store) {
  if (!store.info().sealed) {
    return;
  }
  const SeenMove move = see_move(store.device());
  if (move.to) {
    const std::string to = plain_text(*move.to);
    refuse("seal",
           {ErrorKind::sealed, fmt::format("{}: it was moved to {}", location_, to),
            fmt::format("ask for {}; if that one is lost, or is not to go on: `unseal`", to)});
  } else if (move.from && !move.came) {
    refuse("seal", move.came.error());
  } else if (move.from) {
    add("seal", Outcome::good,
        fmt::format("moved from {}, and not opened here yet", plain_text(*move.from)));
  } else if (options_.incoming) {
    add("seal", Outcome::good, "sealed, for the machine that its state was handed over to");
  } else {
    const StoreInfo info = store.info();
    refuse("seal",
           {ErrorKind::sealed, sealed_error(location_, info.generation, info.hand_over).cause(),
            "ask with --incoming if the machine comes back to it; or `unseal`"});
  }
}

// By the programs that are here, which know none.
void Preflight::check_attributes(const std::vector<BlobInfo>& blobs) {
  for (const BlobInfo& blob : blobs) {
    for (const Attribute& attribute : blob.attributes) {
      if (attribute.must_know) {
        refuse("attributes",
               {ErrorKind::too_new,
                fmt::format("{}: blob {}: attribute {} must be known to use its bytes", location_,
                            blob.name, attribute.name),
                "use a program that knows it"});
      }
    }
  }
}

Status Preflight::look_inside() {
  const auto store = open_to_copy(location_, options_.device, options_.keys);
  if (!store) {
    return store.error();
  }
  const Result<CheckReport> checked =
      check_image((*store)->device(), options_.progress, options_.keys);
  if (!checked) {
    return checked.error();
  }
  Result<PreflightFindings> tpms = check_tpms(**store);
  if (!tpms) {
    return tpms.error();
  }
  report_.image = (*store)->info();
  check_owner(*report_.image);
  check_seal(**store);
  const bool loses = std::ranges::any_of(checked->problems, &CheckProblem::data_lost);
  if (loses) {
    refuse("content", {ErrorKind::corrupt, location_ + ": " + damage_text(*checked),
                       "`check` says all of it, `repair` mends what can be mended"});
  } else if (!checked->clean()) {
    add("content", Outcome::note, damage_text(*checked) + "; nothing depends on it");
  } else {
    add("content", Outcome::good,
        fmt::format("generation {}, {} blobs, no damage", checked->generation,
                    checked->blobs_checked));
  }
  check_attributes((*store)->blobs());
  std::ranges::move(*tpms, std::back_inserter(report_.findings));
  return {};
}

// What is noted is noted by the last look: the others have failed before.
void Preflight::check_content() {
  Status looked;
  for (int looks = 0; looks < looks_max; ++looks) {
    looked = look_inside();
    if (looked || looked.error().kind() != ErrorKind::stale) {
      break;
    }
  }
  if (looked) {
    return;
  }
  const ErrorKind kind = looked.error().kind();
  if (kind == ErrorKind::stale && (options_.incoming || is_locked_.value_or(false))) {
    // It is in use, which is as it should be, or is the reason.
    add("content", Outcome::unknown, "its owner goes on too fast for it to be checked");
  } else {
    refuse(kind == ErrorKind::key_needed || kind == ErrorKind::wrong_key ? "key" : "content",
           looked.error());
  }
  if (is_locked_.value_or(false) && !options_.incoming) {
    refuse("lock", lock_error_.value());
  }
}

} // namespace vnvram
