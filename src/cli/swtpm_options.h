// What is the same of taking a TPM over from swtpm and of giving it back.
#pragma once

#include <CLI/App.hpp>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "cli/output.h"
#include "convert/swtpm_key.h"
#include "convert/swtpm_store.h"
#include "soft_tpm/tpm_blobs.h"
#include "vnvram/result.h"

namespace vnvram::cli {

/// --swtpm-key OPTION, --blobs PREFIX, --tpm2, --tpm12 and --json.
class SwtpmOptions {
public:
  void add_to(CLI::App& app);

  /// What is given; a key is read here, and once. Errors: invalid_argument; io.
  [[nodiscard]] Result<std::optional<SwtpmKey>> key() const;
  /// Errors: invalid_argument.
  [[nodiscard]] Status check() const;
  [[nodiscard]] const std::string& prefix() const { return prefix_; }
  /// nullopt: whichever there is.
  [[nodiscard]] std::optional<TpmVersion> version() const;

  /// One line, or JSON with `more` behind what it says anyway.
  void show(const std::string& from, const std::string& to, const SwtpmStore& store,
            const nlohmann::ordered_json& more, Output& output) const;

private:
  std::string key_;
  std::string prefix_;
  bool tpm2_ = false;
  bool tpm12_ = false;
  bool json_ = false;
};

} // namespace vnvram::cli
