#include "cli/hand_over_command.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include <nlohmann/json.hpp>

#include "base/hex.h"
#include "base/random_bytes.h"
#include "cli/owner_socket.h"

namespace vnvram::cli {
namespace {

constexpr std::chrono::milliseconds look_period{5};
constexpr std::chrono::seconds looks_for{5};

Result<HandOverNumber> parse_token(const std::string& text) {
  const auto bytes = parse_hex(text);
  HandOverNumber number;
  if (!bytes || bytes->size() != number.bytes.size()) {
    return Error(ErrorKind::invalid_argument, "--from " + text + ": is no hand-over's token",
                 "write the 32 digits that `vnvram hand-over` has printed");
  }
  std::ranges::copy(*bytes, number.bytes.begin());
  return number;
}

/// Of one that is under way already, whose answer was lost, maybe; or a new one.
Result<HandOverNumber> number_for(const OwnerStatus& status) {
  if (status.let_go) {
    return *status.let_go;
  }
  if (status.gone_on) {
    return Error(ErrorKind::stale, status.location + ": the machine has gone on elsewhere",
                 "hand it over where its machine is");
  }
  if (status.image && status.image->elsewhere) {
    return Error(ErrorKind::sealed,
                 status.location +
                     ": the image is another host's, or on its way: nothing of it can "
                     "be handed over here",
                 "hand it over where its machine is");
  }
  HandOverNumber number;
  const Status made = random_bytes(number.bytes);
  return made ? Result<HandOverNumber>(number) : made.error();
}

Result<HandOverNumber> hand_over(OwnerClient& owner, const OwnerStatus& status) {
  const Result<HandOverNumber> number = number_for(status);
  const Status gone = number ? owner.let_go(*number) : Status(number.error());
  return gone ? number : gone.error();
}

/// Storage may show late that it was let go on the other host.
Status go_on_in_time(OwnerClient& owner, const GoOn& from) {
  const auto deadline = std::chrono::steady_clock::now() + looks_for;
  for (;;) {
    Status gone_on = owner.go_on(from);
    if (gone_on || !from.hand_over || gone_on.error().kind() != ErrorKind::in_use ||
        std::chrono::steady_clock::now() >= deadline) {
      return gone_on;
    }
    std::this_thread::sleep_for(look_period);
  }
}

} // namespace

HandOverCommand::HandOverCommand(CLI::App& parent)
    : Command(
          parent, "hand-over", "let an image go that two hosts see, to the other one",
          "CONTROL is what `vnvram serve --shared` has behind --control, where the machine is,\n"
          "which has no TPM: that one's state would take the image along. The machine is to be\n"
          "stopped. When this ends with 0 everything that was answered is on the image, it is\n"
          "sealed for this one hand-over, and let go. What is printed is the hand-over's token,\n"
          "for `vnvram go-on` on the other host; it is no secret. Asked again, it prints the "
          "same.\n"
          "Until somebody has gone on with it `vnvram go-on CONTROL` takes the image back, and\n"
          "that is what to do here if this fails.\n\n"
          "Example, between the migration's stop and its end:\n"
          "  token=$(vnvram hand-over unix:/run/vm1/owner.sock)      # on the source\n"
          "  vnvram go-on unix:/run/vm1/owner.sock --from $token     # on the destination") {
  add_control();
  app().add_flag("--json", json_, "print JSON");
}

Result<ExitCode> HandOverCommand::run(Output& output) {
  const auto owner = connect_owner(image());
  if (!owner) {
    return owner.error();
  }
  Result<OwnerStatus> status = (*owner)->status();
  Result<HandOverNumber> number = status ? hand_over(**owner, *status) : status.error();
  if (!number && status && !status->let_go) {
    // One whose answer nobody has had may have been under way, and be done now.
    status = (*owner)->status();
    number = status && status->let_go ? hand_over(**owner, *status) : number;
  }
  if (!number) {
    return number.error();
  }
  const std::string token = hex(number->bytes);
  if (json_) {
    output.write_json({{"location", status->location}, {"hand_over", token}});
  } else {
    output.write_text(token + '\n');
  }
  return ExitCode::ok;
}

GoOnCommand::GoOnCommand(CLI::App& parent)
    : Command(
          parent, "go-on", "let a machine go on with an image that two hosts see",
          "CONTROL is what `vnvram serve --shared` has behind --control, on the host on which the\n"
          "machine is to go on; it has no TPM. With --from the image is opened for that very\n"
          "hand-over, with all that was answered on the other host. Without, the image is taken\n"
          "back that was handed over here: the migration has failed. When this ends with 0 the\n"
          "image is this host's, and what its devices write is taken; then let the machine run.\n"
          "Nothing happens to an image that is this host's already, so it can be asked again.\n\n"
          "Exactly one host goes on. Ends with 23 if somebody else has, with 14 as long as "
          "somebody\n"
          "has the image, and with 30 if it is not this host's, or sealed for another hand-over:\n"
          "then the machine must not run here.\n\n"
          "Examples:\n"
          "  vnvram go-on unix:/run/vm1/owner.sock --from 5f0c...    # on the destination\n"
          "  vnvram go-on unix:/run/vm1/owner.sock                   # on the source, after all") {
  add_control();
  app()
      .add_option("--from", from_,
                  "the token that `vnvram hand-over` has printed on the other host")
      ->type_name("TOKEN");
}

Result<ExitCode> GoOnCommand::run(Output& /*output*/) {
  GoOn from;
  if (app().count("--from") > 0) {
    const Result<HandOverNumber> number = parse_token(from_);
    if (!number) {
      return number.error();
    }
    from.hand_over = *number;
  }
  const auto owner = connect_owner(image());
  if (!owner) {
    return owner.error();
  }
  Status gone_on = go_on_in_time(**owner, from);
  gone_on = gone_on ? (*owner)->take_back() : gone_on;
  return gone_on ? Result<ExitCode>(ExitCode::ok) : gone_on.error();
}

} // namespace vnvram::cli
