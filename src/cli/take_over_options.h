// --take-over and --owner-is-dead: of a command that opens an image for a machine.
#pragma once

#include <CLI/App.hpp>
#include <optional>
#include <string>
#include <vector>

#include "vnvram/take_over.h"

namespace vnvram::cli {

class TakeOverOptions {
public:
  explicit TakeOverOptions(CLI::App& app);
  TakeOverOptions(const TakeOverOptions&) = delete;
  TakeOverOptions& operator=(const TakeOverOptions&) = delete;

  /// Nothing: the image is opened as usual.
  [[nodiscard]] std::optional<OwnerWord> word() const;
  /// The same for another process of this command.
  [[nodiscard]] std::vector<std::string> arguments() const;

private:
  bool take_over_ = false;
  bool owner_is_dead_ = false;
};

/// Of `vnvram takeover`, too.
void add_owner_is_dead(CLI::App& app, bool& owner_is_dead);

} // namespace vnvram::cli
