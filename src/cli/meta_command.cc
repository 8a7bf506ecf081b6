#include "cli/meta_command.h"

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "base/hex.h"
#include "cli/input.h"
#include "cli/owner_socket.h"
#include "cli/text.h"
#include "vnvram/public_metadata.h"

namespace vnvram::cli {
namespace {

nlohmann::ordered_json metadata_json(const PublicMetadata& metadata) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const auto& [name, value] : metadata) {
    list.push_back(
        {{"name", name}, {"value", value}, {"value_hex", hex(std::as_bytes(std::span(value)))}});
  }
  return {{"metadata", list}};
}

} // namespace

MetaCommand::MetaCommand(CLI::App& parent)
    : Command(parent, "meta", "names and values that an image shows to everybody",
              "They can be read and changed without a key, of encrypted images and others: who has "
              "the keys, an\n"
              "endorsement key's fingerprint, a key service's reference. So nothing of them is "
              "secret, and nothing\n"
              "proves them. They take 16,320 bytes at most, and are no part of exports.\n\n"
              "Example:\n"
              "  vnvram meta set vm.nvram owner 'team seven'") {
  app().require_subcommand(1);
  add_verb(&MetaCommand::list, "ls", "list them", "Example:\n  vnvram meta ls --json vm.nvram")
      .add_flag("--json", json_, "print JSON");
  CLI::App& getting = add_verb(&MetaCommand::get, "get", "print one value",
                               "Its bytes, as they are.\n\n"
                               "Example:\n"
                               "  vnvram meta get vm.nvram tang/jwe > vm.jwe");
  CLI::App& setting = add_verb(&MetaCommand::set, "set", "set one value",
                               "Durable when it ends; a cut leaves the old value or the new. An "
                               "image that is in use is changed by its owner: unix:PATH.\n\n"
                               "Examples:\n"
                               "  vnvram meta set vm.nvram owner 'team seven'\n"
                               "  vnvram meta set vm.nvram tang/jwe --file vm.jwe");
  CLI::App& removing = add_verb(&MetaCommand::remove, "rm", "remove one",
                                "Example:\n  vnvram meta rm vm.nvram owner");
  for (CLI::App* verb : {&getting, &setting, &removing}) {
    verb->add_option("NAME", name_, "1 to 63 characters of A-Z a-z 0-9 . _ / + @ -")->required();
  }
  value_option_ = setting.add_option("VALUE", value_, "up to 4096 bytes");
  file_option_ =
      setting
          .add_option("--file", file_, "the value is what this file holds; \"-\": standard input")
          ->type_name("FILE");
}

CLI::App& MetaCommand::add_verb(Deed deed, const std::string& name, const std::string& summary,
                                const std::string& footer) {
  CLI::App* verb = app().add_subcommand(name, summary);
  verb->footer(footer);
  add_image_or_owner_to(*verb);
  verbs_.push_back({verb, deed});
  return *verb;
}

Result<ExitCode> MetaCommand::run(Output& output) {
  for (const Verb& verb : verbs_) {
    if (verb.app->parsed()) {
      return (this->*verb.deed)(output);
    }
  }
  return ExitCode::usage;
}

Result<PublicMetadata> MetaCommand::read() const {
  if (is_owner_socket(image())) {
    const auto owner = connect_owner(image());
    return owner ? (*owner)->metadata() : owner.error();
  }
  const auto device = open_image(Access::read_only);
  return device ? read_public_metadata(**device) : device.error();
}

Status MetaCommand::change(const std::optional<std::string>& value) const {
  if (is_owner_socket(image())) {
    if (Status here = check_image_is_here(image()); !here) {
      return here;
    }
    const auto owner = connect_owner(image());
    return owner ? (*owner)->change_metadata(name_, value) : owner.error();
  }
  const auto device = open_image(Access::read_write);
  if (!device) {
    return device.error();
  }
  return value ? set_public_metadata(**device, name_, *value)
               : remove_public_metadata(**device, name_);
}

Result<ExitCode> MetaCommand::list(Output& output) {
  const auto metadata = read();
  if (!metadata) {
    return metadata.error();
  }
  if (json_) {
    output.write_json(metadata_json(*metadata));
    return ExitCode::ok;
  }
  std::vector<std::vector<std::string>> lines{{"NAME", "VALUE"}};
  for (const auto& [name, value] : *metadata) {
    lines.push_back({printable(name), printable(value)});
  }
  output.write_text(table(lines, {false, false}));
  return ExitCode::ok;
}

Result<ExitCode> MetaCommand::get(Output& output) {
  const auto metadata = read();
  if (!metadata) {
    return metadata.error();
  }
  const auto found = metadata->find(name_);
  if (found == metadata->end()) {
    return Error(ErrorKind::not_found, fmt::format("there is no public \"{}\"", name_),
                 "`meta ls` lists what there is");
  }
  output.write_bytes(std::as_bytes(std::span(found->second)));
  return ExitCode::ok;
}

Result<std::string> MetaCommand::value() const {
  const bool by_file = file_option_->count() > 0;
  if (by_file == (value_option_->count() > 0)) {
    return Error(ErrorKind::invalid_argument, "set takes either VALUE or --file FILE");
  }
  if (!by_file) {
    return value_;
  }
  const auto bytes = read_input(file_, public_value_max_bytes);
  if (!bytes) {
    return bytes.error();
  }
  return std::string(reinterpret_cast<const char*>(bytes->data()), bytes->size());
}

Result<ExitCode> MetaCommand::set(Output& /*output*/) {
  const Result<std::string> content = value();
  if (!content) {
    return content.error();
  }
  const Status done = change(*content);
  return done ? Result<ExitCode>(ExitCode::ok) : done.error();
}

Result<ExitCode> MetaCommand::remove(Output& /*output*/) {
  const Status done = change(std::nullopt);
  return done ? Result<ExitCode>(ExitCode::ok) : done.error();
}

} // namespace vnvram::cli
