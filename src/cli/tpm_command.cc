#include "cli/tpm_command.h"

#include <algorithm>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "base/uuid.h"
#include "cli/owner_socket.h"
#include "cli/text.h"

namespace vnvram::cli {
namespace {

std::array<std::byte, 16> uuid_of(const TpmAdminStatus& status) {
  std::array<std::byte, 16> uuid{};
  std::copy_n(status.image_uuid.begin(), std::min(status.image_uuid.size(), uuid.size()),
              uuid.begin());
  return uuid;
}

std::string custody_text(const TpmAdminStatus& status) {
  if (status.custody == "ours") {
    return "ours";
  }
  return status.custody == "gone" ? "handed over, and the machine is gone: sealed"
                                  : "handed over for a snapshot or a migration: commands wait";
}

std::string commands_text(const TpmAdminStatus& status) {
  if (status.failed) {
    return "fail, since the drive has failed";
  }
  if (status.held) {
    return "held; the TPM is idle";
  }
  if (!status.attached) {
    return "wait for an image";
  }
  return status.custody == "ours" ? "served" : status.custody == "gone" ? "fail" : "wait";
}

std::string status_text(const TpmAdminStatus& status) {
  std::string text;
  const auto line = [&](std::string_view name, const std::string& value) {
    text += fmt::format("{:<12}{}\n", std::string(name) + ":", value);
  };
  line("TPM", status.tpm_version);
  line("image", printable(status.location) + (status.attached ? "" : " (not attached)"));
  line("generation", std::to_string(status.generation));
  line("commands", commands_text(status));
  line("state", custody_text(status) +
                    (status.uncommitted ? "; memory has changes that are not on the image" : ""));
  if (!status.image_error.empty()) {
    line("trouble", printable(status.image_error));
  }
  return text;
}

nlohmann::ordered_json status_json(const TpmAdminStatus& status) {
  return {{"tpm_version", status.tpm_version}, {"location", status.location},
          {"attached", status.attached},       {"held", status.held},
          {"custody", status.custody},         {"content_may_change", status.content_may_change},
          {"uncommitted", status.uncommitted}, {"failed", status.failed},
          {"generation", status.generation},   {"uuid", uuid_text(uuid_of(status))},
          {"image_error", status.image_error}};
}

} // namespace

TpmCommand::TpmCommand(CLI::App& parent)
    : Command(
          parent, "tpm",
          "hold, detach, attach or unseal a TPM that is running; show the identity of one at rest",
          "SOCKET is what vnvram-tpm has behind --admin unix: . Each command prints how the TPM\n"
          "stands when it is done.\n\n"
          "A snapshot of a drive that QEMU itself owns:\n"
          "  (QMP) stop\n"
          "  vnvram tpm hold /run/vm1/admin.sock\n"
          "  (QMP) savevm; loadvm needs more, as contrib/recipes/loadvm.py does it\n"
          "  vnvram tpm resume /run/vm1/admin.sock\n"
          "  (QMP) cont") {
  app().require_subcommand(1);
  add_verb(TpmAdminCall::status, "status", "show how the TPM and its image stand", "");
  add_verb(TpmAdminCall::hold, "hold", "let TPM commands wait, and return when the TPM is idle",
           "When it returns, every answered change is durable and nothing is on its way to the\n"
           "drive; until `resume` nothing is read from it or written to it.");
  add_verb(TpmAdminCall::resume, "resume", "take commands again", "");
  add_verb(TpmAdminCall::detach, "detach", "give up the drive; TPM commands wait",
           "A drive that QEMU owns is not written to by it: its export can be deleted then.");
  add_verb(TpmAdminCall::attach, "attach", "open the image again, or another one",
           "The image must hold what the TPM left there, or QEMU must have set a state since, or\n"
           "the machine must have been reset: else it is refused.");
  verbs_.back().app->add_option("IMAGE", location_, "where it is now; left out: where it was");
  add_verb(TpmAdminCall::unseal, "unseal", "say that a state that was handed over goes on here",
           "Only if no other machine goes on with it: there would be two TPMs that are one.");
  add_identity();
}

void TpmCommand::add_identity() {
  identity_app_ =
      app().add_subcommand("identity", "print a TPM 2.0's EK certificates and public keys");
  add_image_or_owner_to(*identity_app_);
  add_keys_to(*identity_app_);
  identity_.add_to(*identity_app_);
  identity_app_->footer(
      "In PEM, with the certificates' fingerprints and the platform's certificate, as they are in\n"
      "the TPM, which is started on a copy in memory: nothing is written. A certificate of a key\n"
      "that the TPM has not got, or whose area its owner has made, is left out. Of an encrypted\n"
      "image, without a key: with --unproven what its public metadata say, else exit code 15. A\n"
      "TPM without an EK certificate is exit code 25.\n\n"
      "Examples:\n"
      "  vnvram tpm identity vm.nvram | openssl x509 -text\n"
      "  vnvram tpm identity --json vm.nvram --key file:/etc/vnvram/host.key");
}

void TpmCommand::add_verb(TpmAdminCall call, const std::string& name, const std::string& summary,
                          const std::string& footer) {
  CLI::App* verb = app().add_subcommand(name, summary);
  verb->add_option("SOCKET", socket_, "the TPM's admin socket")->required();
  verb->add_flag("--json", json_, "print JSON");
  verb->footer(footer);
  verbs_.push_back({call, verb});
}

Result<ExitCode> TpmCommand::run(Output& output) {
  if (identity_app_->parsed()) {
    const Status fit = is_owner_socket(image()) ? check_for_owner(*identity_app_) : Status();
    return fit ? identity_.run(image(), device(), keys(), output) : fit.error();
  }
  const auto chosen = std::find_if(verbs_.begin(), verbs_.end(),
                                   [](const Verb& verb) { return verb.app->parsed(); });
  const Result<TpmAdminStatus> status = call_tpm_admin(socket_, chosen->call, location_);
  if (!status) {
    return status.error();
  }
  if (json_) {
    output.write_json(status_json(*status));
  } else {
    output.write_text(status_text(*status));
  }
  return ExitCode::ok;
}

} // namespace vnvram::cli
