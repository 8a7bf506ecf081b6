#include "cli/size_command.h"

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "base/size_text.h"
#include "vnvram/store.h"

namespace vnvram::cli {

SizeCommand::SizeCommand(CLI::App& parent)
    : Command(
          parent, "size", "tell how large an image must be for some blobs",
          "Takes the arguments of `vnvram create`: the blobs, --ring-size and --encrypt count,\n"
          "of --uefi's FILE only its size, and nothing else changes anything here. \"required\"\n"
          "is the smallest image that has room for the blobs at their largest sizes;\n"
          "\"recommended\" is what create makes without --size.\n\n"
          "Examples:\n"
          "  vnvram size --tpm2\n"
          "  vnvram size --uefi /usr/share/OVMF/OVMF_VARS_4M.fd\n"
          "  lvcreate -L $(vnvram size --tpm2 --json | jq .recommended_bytes)b -n nvram vg0") {
  add_ignored_image();
  blobs_.add_to(app(), true);
  app().add_option("--size", ignored_, "not looked at")->type_name("N");
  app()
      .add_option("--ring-size", ring_size_, "the size of the image's log (K, M, G: 1024-fold)")
      ->type_name("N");
  app().add_flag("--encrypt", encrypt_, "an encrypted image keeps more of each page");
  app().add_option("--format", ignored_, "not looked at")->type_name("FORMAT");
  app().add_option("--key", ignored_, "not looked at")->type_name("KEY");
  app().add_option("--label", ignored_, "not looked at")->type_name("TEXT");
  app().add_flag("--birth{-}", ignored_, "not looked at");
  app().add_flag("--force", ignored_, "not looked at");
  not_looked_at_.add_to(app());
  app().add_flag("--json", json_, "print JSON");
}

Result<ExitCode> SizeCommand::run(Output& output) {
  const auto specs = blobs_.specs();
  if (!specs) {
    return specs.error();
  }
  std::uint64_t ring_size_bytes = 0;
  if (!ring_size_.empty()) {
    const auto parsed = parse_size(ring_size_);
    if (!parsed) {
      return parsed.error();
    }
    ring_size_bytes = *parsed;
  }
  const auto required = required_size_bytes(*specs, ring_size_bytes, encrypt_);
  if (!required) {
    return required.error();
  }
  const auto recommended = recommended_size_bytes(*specs, ring_size_bytes, encrypt_);
  if (!recommended) {
    return recommended.error();
  }
  if (json_) {
    output.write_json(
        nlohmann::ordered_json{{"required_bytes", *required}, {"recommended_bytes", *recommended}});
  } else {
    output.write_text(fmt::format("required:    {} ({})\nrecommended: {} ({})\n", *required,
                                  format_size(*required), *recommended, format_size(*recommended)));
  }
  return ExitCode::ok;
}

} // namespace vnvram::cli
