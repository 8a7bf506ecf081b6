// Keys of encrypted images on the command line.
#pragma once

#include <CLI/App.hpp>
#include <memory>
#include <string>
#include <vector>

#include "vnvram/key.h"
#include "vnvram/key_ring.h"
#include "vnvram/result.h"

namespace vnvram::cli {

/// Declares --key, which may be repeated; each goes to `keys`, which `app` must not outlive. What
/// is no KEY is a wrong command line.
void add_keys(CLI::App& app, KeyRing& keys, const std::string& what);

/// Who can open what a command makes: keys, each with a --label.
class NewKeyOptions {
public:
  /// Declares them. `option`: "--key" of a command that opens nothing.
  explicit NewKeyOptions(CLI::App& app, const std::string& option = "--new-key");

  [[nodiscard]] bool given() const { return !values_->sources.empty(); }
  /// Errors: invalid_argument (more labels than keys).
  [[nodiscard]] Result<std::vector<NewKeySlot>> slots() const;
  /// Declares --decrypt, for a command that copies an image.
  void add_decrypt(CLI::App& app);
  [[nodiscard]] bool decrypts() const { return values_->decrypt; }

private:
  struct Values {
    std::vector<KeySource> sources;
    std::vector<std::string> labels;
    bool decrypt = false;
  };
  std::shared_ptr<Values> values_ = std::make_shared<Values>(); ///< CLI11 knows where it is.
};

} // namespace vnvram::cli
