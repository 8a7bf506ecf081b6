#include "cli/anchor_command.h"

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "base/hex.h"
#include "base/uuid.h"
#include "cli/accepted_anchor.h"
#include "cli/reader.h"

namespace vnvram::cli {
namespace {

nlohmann::ordered_json point_json(const AnchorPoint& point) {
  return {{"uuid", uuid_text(point.uuid)},
          {"epoch", point.epoch_number},
          {"generation", point.generation},
          {"sealed", point.sealed}};
}

nlohmann::ordered_json comparison_json(const AnchorComparison& found) {
  nlohmann::ordered_json json = {{"verdict", verdict_name(found.verdict)},
                                 {"image", point_json(found.image)},
                                 {"anchor", nullptr},
                                 {"each_commit", nullptr}};
  if (found.anchored) {
    json["anchor"] = point_json(*found.anchored);
    json["each_commit"] = found.anchored->each_commit;
  }
  return json;
}

std::string comparison_text(const AnchorComparison& found) {
  std::string text =
      fmt::format("{:<12}{:<38}{:>12}{:>12}{:>8}\n", "", "uuid", "epoch", "generation", "sealed");
  const auto line = [&](const char* name, const AnchorPoint& point) {
    text += fmt::format("{:<12}{:<38}{:>12}{:>12}{:>8}\n", name, uuid_text(point.uuid),
                        point.epoch_number, point.generation, point.sealed ? "yes" : "no");
  };
  line("image", found.image);
  if (found.anchored) {
    line("anchor", *found.anchored);
  } else {
    text += "anchor      nothing yet\n";
  }
  return text + fmt::format("{:<12}{}\n", "verdict", verdict_name(found.verdict));
}

} // namespace

AnchorCommand::AnchorCommand(CLI::App& parent)
    : Command(
          parent, "anchor", "compare an image with its anchor, or accept it as it is",
          "show prints both and their verdict: at-anchor, missing, another-image, rolled-back (an\n"
          "older copy), forked (written to without the anchor, or a copy that was), ahead.\n"
          "verify ends with 31 unless the image is at its anchor. accept is the word of an\n"
          "operator who knows that this image is the one to go on with: it makes the anchor, or\n"
          "overwrites it, and no other copy is accepted from then on. Who has said so, and when,\n"
          "is kept in the image, with --note. The image must not be in use for accept.\n\n"
          "Examples:\n"
          "  vnvram anchor accept vm.nvram --anchor file:/var/lib/anchors/vm --note 'restored'\n"
          "  vnvram anchor verify vm.nvram --anchor 'exec:/usr/local/bin/vm-anchor vm'"),
      anchor_(AnchorOptions::of_work(app())) {
  app()
      .add_option("VERB", verb_, "show, verify or accept")
      ->check(CLI::IsMember({"show", "verify", "accept"}))
      ->required();
  add_image();
  app().add_option("--note", note_, "for accept: why")->type_name("TEXT");
  app().add_flag("--json", json_, "print JSON");
  app().get_option("--anchor")->required();
}

Result<AnchorComparison> AnchorCommand::compare(Anchor& anchor) const {
  Result<AnchorComparison> found = AnchorComparison{};
  const Status done = retry_while_stale([&]() -> Status {
    auto device = open_image(Access::read_only);
    if (!device) {
      return device.error();
    }
    found = compare_with_anchor(*std::move(device), anchor, keys());
    return found ? Status{} : found.error();
  });
  return done ? found : done.error();
}

Result<ExitCode> AnchorCommand::accept(const std::shared_ptr<Anchor>& anchor) const {
  auto device = open_image(Access::read_write);
  if (!device) {
    return device.error();
  }
  const Status accepted = accept_anchor(
      *std::move(device), anchor,
      [this](BlockDevice& locked, const AnchorComparison& found) {
        return keep_acceptance(locked, acceptance_text(found, note_));
      },
      keys());
  return accepted ? Result<ExitCode>(ExitCode::ok) : accepted.error();
}

Result<ExitCode> AnchorCommand::run(Output& output) {
  if (!note_.empty() && verb_ != "accept") {
    return Error(ErrorKind::invalid_argument, "--note is for accept");
  }
  const Result<AnchorUse> use = anchor_.open();
  if (!use) {
    return use.error();
  }
  if (verb_ == "accept") {
    return accept(use->anchor);
  }
  const Result<AnchorComparison> found = compare(*use->anchor);
  if (!found) {
    return found.error();
  }
  if (verb_ == "show" || json_) {
    if (json_) {
      output.write_json(comparison_json(*found));
    } else {
      output.write_text(comparison_text(*found));
    }
  }
  if (verb_ == "verify" && found->reason) {
    return Error(ErrorKind::not_at_anchor, *found->reason,
                 "once you know that this image is the one to go on with: `anchor accept`");
  }
  return ExitCode::ok;
}

} // namespace vnvram::cli
