#include "cli/swtpm_options.h"

#include <array>
#include <string_view>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "base/plain_text.h"
#include "convert/swtpm_key_option.h"

namespace vnvram::cli {
namespace {

constexpr std::array<std::string_view, tpm_state_count> swtpm_names = {"permall", "volatilestate",
                                                                       "savestate"};

std::string_view version_text(TpmVersion version) {
  return version == TpmVersion::tpm2_0 ? "2.0" : "1.2";
}

} // namespace

void SwtpmOptions::add_to(CLI::App& app) {
  app.add_option("--swtpm-key", key_,
                 "the key of swtpm's files, as swtpm is given it behind --key: "
                 "file=PATH[,mode=aes-256-cbc][,format=binary], pwdfile=PATH, fd=N, pwdfd=N, ...")
      ->type_name("OPTION");
  app.add_option("--blobs", prefix_,
                 "the TPM whose blobs' names begin so, of an image with several")
      ->type_name("PREFIX");
  CLI::Option* const tpm2 = app.add_flag("--tpm2", tpm2_, "the TPM 2.0, where there are both");
  app.add_flag("--tpm12", tpm12_, "the TPM 1.2")->excludes(tpm2);
  app.add_flag("--json", json_, "print JSON");
}

Status SwtpmOptions::check() const {
  return check_tpm_blobs_prefix(prefix_);
}

std::optional<TpmVersion> SwtpmOptions::version() const {
  if (tpm2_) {
    return TpmVersion::tpm2_0;
  }
  return tpm12_ ? std::optional(TpmVersion::tpm1_2) : std::nullopt;
}

Result<std::optional<SwtpmKey>> SwtpmOptions::key() const {
  if (key_.empty()) {
    return std::optional<SwtpmKey>();
  }
  const Result<SwtpmKeyOption> option = SwtpmKeyOption::parse(key_);
  if (!option) {
    return option.error();
  }
  Result<SwtpmKey> key = option->read();
  return key ? Result<std::optional<SwtpmKey>>(std::optional<SwtpmKey>(*std::move(key)))
             : key.error();
}

void SwtpmOptions::show(const std::string& from, const std::string& to, const SwtpmStore& store,
                        const nlohmann::ordered_json& more, Output& output) const {
  nlohmann::ordered_json states = nlohmann::ordered_json::array();
  std::string text;
  for (std::size_t index = 0; index < store.states.size(); ++index) {
    const std::size_t size_bytes = store.states.at(index).size();
    if (size_bytes == 0) {
      continue;
    }
    const auto state = static_cast<TpmState>(index);
    states.push_back({{"blob", prefix_ + std::string(tpm_blob_name(store.version, state))},
                      {"swtpm", swtpm_names.at(index)},
                      {"size_bytes", size_bytes}});
    text += fmt::format("{}{} of {} bytes", text.empty() ? "" : ", ", swtpm_names.at(index),
                        size_bytes);
  }
  if (json_) {
    nlohmann::ordered_json json = {{"version", version_text(store.version)}, {"states", states}};
    json.update(more);
    output.write_json(json);
  } else {
    output.write_text(fmt::format("{}: the TPM {} of {}: {}\n", plain_text(to),
                                  version_text(store.version), plain_text(from), text));
  }
}

} // namespace vnvram::cli
