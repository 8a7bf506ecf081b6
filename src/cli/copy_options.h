// Where to, and how fast, a command copies an image.
#pragma once

#include <CLI/App.hpp>
#include <cstdint>
#include <string>

#include "backup/block_copy.h"
#include "cli/noted_device.h"
#include "rpc/owner_client.h"
#include "vnvram/open_device.h"
#include "vnvram/result.h"

namespace vnvram::cli {

class CopyOptions {
public:
  /// `word`: what the help calls the new place.
  explicit CopyOptions(std::string word) : word_(std::move(word)) {}
  CopyOptions(const CopyOptions&) = delete;
  CopyOptions& operator=(const CopyOptions&) = delete;

  /// Behind IMAGE. `what`: the place; `which_bytes`: those that have a rate.
  void add_to(CLI::App& app, const std::string& what, const std::string& which_bytes);
  /// --out-key, of a command that may be told the key of a VM image.
  void add_key_to(CLI::App& app);

  /// As it was given. Not for messages: it may have a key in it.
  [[nodiscard]] const std::string& place() const { return place_; }
  [[nodiscard]] std::string place_name() const;
  [[nodiscard]] const DeviceOptions& device() const { return device_; }
  [[nodiscard]] bool json() const { return json_; }

  /// Whether an image that is there can be copied to this place. Error: invalid_argument.
  [[nodiscard]] Status check_places(const std::string& image) const;
  /// The same of an image that its owner, whose status this is, reaches by the same names.
  [[nodiscard]] Status check_place(const OwnerStatus& owner) const;
  /// What is there when a command was ended before it had made it. Before that.
  [[nodiscard]] std::string left_if_ended() const;
  /// Error: invalid_argument.
  [[nodiscard]] Result<BlockCopyTarget> target() const;
  /// 0: no limit. Error: invalid_argument.
  [[nodiscard]] Result<std::uint64_t> rate_bytes() const;

private:
  [[nodiscard]] Error are_the_same() const;

  const std::string word_;
  std::string place_;
  std::string size_;
  std::string rate_;
  DeviceOptions device_ = noted_device();
  bool force_ = false;
  bool json_ = false;
};

} // namespace vnvram::cli
