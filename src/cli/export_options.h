// Where `export` and `import` put an image, and what they say of it.
#pragma once

#include <CLI/App.hpp>
#include <string>

#include "backup/export_writer.h"
#include "cli/key_options.h"
#include "cli/output.h"

namespace vnvram::cli {

/// --size, --out-format, --out-key, --new-key, --label, --decrypt, --force and --json.
class ExportOptions {
public:
  /// Declares them; `app` must not outlive this object's use.
  void add_to(CLI::App& app);

  /// Errors: invalid_argument.
  [[nodiscard]] Result<ExportTarget> target(const std::string& out) const;
  /// On standard error if standard output has the image.
  void show(const std::string& out, const ExportReport& report, Output& output) const;

private:
  ExportTarget target_;
  NewKeyOptions new_keys_;
  std::string size_;
  bool json_ = false;
};

} // namespace vnvram::cli
