// A subcommand of `vnvram`: its options on the command line, and what it does.
#pragma once

#include <CLI/App.hpp>
#include <string>
#include <vector>

#include "base/exit_code.h"
#include "cli/key_options.h"
#include "cli/noted_device.h"
#include "cli/output.h"
#include "vnvram/open_device.h"
#include "vnvram/result.h"

namespace vnvram::cli {

/// Each subcommand is one class: the constructor declares its options, run() carries it out.
class Command {
public:
  Command(const Command&) = delete;
  Command& operator=(const Command&) = delete;
  virtual ~Command() = default;

  /// The command line names this one.
  [[nodiscard]] bool chosen() const { return app_->parsed(); }
  /// After the IMAGE of a command that takes a BLOB: `--help` may be meant as the name of one, and
  /// a script must not take the help for its content.
  [[nodiscard]] bool may_mean_blob() const {
    return app_->get_option_no_throw("BLOB") != nullptr && app_->count("IMAGE") > 0;
  }
  /// What the user gave as IMAGE; empty when there is none.
  [[nodiscard]] const std::string& image() const { return image_; }
  /// What it makes of that, as the user gave it: messages may be about either.
  [[nodiscard]] virtual std::string made_place() const { return {}; }
  /// The exit code, or why it gave up. What it wrote to `output` still has to be delivered.
  virtual Result<ExitCode> run(Output& output) = 0;

protected:
  Command(CLI::App& parent, const std::string& name, const std::string& summary,
          const std::string& examples)
      : app_(parent.add_subcommand(name, summary)) {
    app_->footer(examples);
  }

  /// The positional argument that nearly all commands begin with.
  void add_image() {
    add_image_without_key();
    add_keys(*app_, keys_);
  }
  /// The same for a command that makes it, or looks at what needs no key.
  void add_image_without_key() {
    add_image(*app_,
              "the image: a file, a VM image (qcow2, VMDK, VHDX, VDI, LUKS), a host block device, "
              "an NBD export's URI, or fd:N for a file or block device that is open");
  }
  /// The same for one of the verbs that a command has below its own.
  void add_image_to(CLI::App& verb) {
    add_image(verb, "the image: a file, a VM image, a host block device, an NBD export's URI, or "
                    "fd:N for a file or block device that is open");
  }
  void add_image_or_owner_to(CLI::App& verb) {
    add_image(verb, "the image: a file, a VM image, a host block device, an NBD export's URI, fd:N "
                    "for a file or block device that is open, or unix:PATH, the control socket of "
                    "its owner");
  }
  /// The same for a command that an owner can be asked for as well.
  void add_image_or_owner() {
    add_image(*app_,
              "the image: a file, a VM image (qcow2, VMDK, VHDX, VDI, LUKS), a host block device, "
              "an NBD export's URI, or unix:PATH, the control socket of its owner");
    add_keys(*app_, keys_);
  }
  /// Of a verb whose image may be encrypted.
  void add_keys_to(CLI::App& verb) { add_keys(verb, keys_); }
  /// What only who opens an image can be told. Errors: invalid_argument.
  [[nodiscard]] Status check_for_owner() const { return check_for_owner(*app_); }
  [[nodiscard]] static Status check_for_owner(const CLI::App& app) {
    for (const char* option : {"--image-key", "--key", "--space", "--anchor", "--grow"}) {
      if (app.get_option_no_throw(option) != nullptr && app.count(option) > 0) {
        return Error(ErrorKind::invalid_argument,
                     std::string(option) + " is for who opens the image",
                     "its owner was told when it began");
      }
    }
    return {};
  }

  /// The same for a command that talks to the process that has an image open.
  void add_control() {
    app_->add_option("CONTROL", image_, "the owner's control socket, unix:PATH")->required();
  }
  /// For a command that takes another's arguments and has no use for the image.
  void add_ignored_image() {
    app_->add_option("IMAGE", image_, "not looked at");
    app_->add_option("--image-key", device_.image_key_file, "not looked at")->type_name("FILE");
    app_->add_option("--anchor", "not looked at")->type_name("ANCHOR");
  }
  /// How to open the image.
  [[nodiscard]] const DeviceOptions& device() const { return device_; }
  [[nodiscard]] const KeyRing& keys() const { return keys_; }
  /// The same as they were given, for another process.
  [[nodiscard]] std::vector<std::string> key_texts() const {
    return app_->get_option("--key")->results();
  }
  [[nodiscard]] Result<std::unique_ptr<BlockDevice>> open_image(Access access) const {
    return open_device(image_, access, device_);
  }

  [[nodiscard]] CLI::App& app() { return *app_; }

private:
  void add_image(CLI::App& app, const std::string& what) {
    app.add_option("IMAGE", image_, what)->required();
    app.add_option("--image-key", device_.image_key_file,
                   "all bytes of this file are the key of an encrypted VM image")
        ->type_name("FILE");
  }

  CLI::App* app_; ///< Owned by the parent, which outlives every command.
  std::string image_;
  DeviceOptions device_ = noted_device();
  KeyRing keys_;
};

} // namespace vnvram::cli
