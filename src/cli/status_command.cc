#include "cli/status_command.h"

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "base/hex.h"
#include "base/uuid.h"
#include "cli/owner_socket.h"
#include "cli/owner_text.h"
#include "cli/text.h"

namespace vnvram::cli {
namespace {

std::string names_text(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) {
    text += (text.empty() ? "" : ", ") + printable(name);
  }
  return text.empty() ? "nothing" : text;
}

std::string status_text(const OwnerStatus& status, const Result<StoreInfo>& info) {
  std::string text;
  const auto line = [&](const std::string& name, const std::string& value) {
    text += fmt::format("{:<13}{}\n", name + ":", value);
  };
  line("image", printable(status.location) + (status.image ? "" : " (not attached)"));
  const bool is_elsewhere = status.image && status.image->elsewhere;
  if (is_elsewhere) {
    line("stands by", "the image is another host's, or on its way; this is how it was seen");
  }
  if (status.let_go) {
    line("let go",
         hex(status.let_go->bytes) + " is the token for `go-on --from` on the other host");
  }
  if (status.image) {
    line("generation", std::to_string(status.image->generation));
    line("sealed", status.image->sealed ? "yes" : "no");
  }
  if (info) {
    line("owner", owner_text(*info));
  }
  line("changes", status.refusal   ? "refused: " + status.refusal->text()
                  : status.gone_on ? "refused: the machine has gone on elsewhere"
                  : is_elsewhere   ? "wait until it comes"
                  : status.held    ? "held"
                                   : "taken");
  if (status.key_exchange) {
    const OwnerStatus::Progress& progress = *status.key_exchange;
    line("data key", fmt::format("is being exchanged, {} of {} bytes are done", progress.done_bytes,
                                 progress.all_bytes));
  }
  for (const OwnerStatus::Session& session : status.sessions) {
    line(fmt::format("session {}", session.number),
         fmt::format("{}process {} of user {}, writes {}",
                     session.device.empty() ? "" : printable(session.device) + ", ", session.pid,
                     session.uid, names_text(session.writes)));
  }
  return text;
}

nlohmann::ordered_json status_json(const OwnerStatus& status, const Result<StoreInfo>& info) {
  nlohmann::ordered_json sessions = nlohmann::ordered_json::array();
  for (const OwnerStatus::Session& session : status.sessions) {
    sessions.push_back({{"number", session.number},
                        {"pid", session.pid},
                        {"uid", session.uid},
                        {"device", session.device},
                        {"writes", session.writes}});
  }
  nlohmann::ordered_json json{
      {"location", status.location}, {"attached", status.image.has_value()}, {"held", status.held}};
  if (status.image) {
    json["uuid"] = uuid_text(status.image->uuid);
    json["generation"] = status.image->generation;
    json["sealed"] = status.image->sealed;
    json["stands_by"] = status.image->elsewhere;
    json["space_free_bytes"] = status.image->space_free_bytes;
  }
  if (info) {
    json["owner_pid"] = info->owner_pid;
    json["owner_host"] = info->owner_host;
    json["owner_since_seconds"] = info->owner_since_seconds;
  }
  json["let_go"] =
      status.let_go ? nlohmann::ordered_json(hex(status.let_go->bytes)) : nlohmann::ordered_json();
  json["refusal"] =
      status.refusal ? nlohmann::ordered_json(status.refusal->text()) : nlohmann::ordered_json();
  if (status.key_exchange) {
    json["key_exchange"] = {{"done_bytes", status.key_exchange->done_bytes},
                            {"all_bytes", status.key_exchange->all_bytes}};
  }
  json["sessions"] = sessions;
  return json;
}

} // namespace

StatusCommand::StatusCommand(CLI::App& parent)
    : Command(parent, "status", "show how the owner of an image stands, and who is connected",
              "CONTROL is what `vnvram serve` has behind --control. This command's own session is\n"
              "one of those that are listed.\n\n"
              "Example:\n"
              "  vnvram status unix:/run/vm1/owner.sock") {
  add_control();
  app().add_flag("--json", json_, "print JSON");
}

Result<ExitCode> StatusCommand::run(Output& output) {
  const auto owner = connect_owner(image());
  if (!owner) {
    return owner.error();
  }
  const Result<OwnerStatus> status = (*owner)->status();
  if (!status) {
    return status.error();
  }
  const Result<StoreInfo> info = (*owner)->image(); // None, while none is attached.
  if (json_) {
    output.write_json(status_json(*status, info));
  } else {
    output.write_text(status_text(*status, info));
  }
  return ExitCode::ok;
}

} // namespace vnvram::cli
