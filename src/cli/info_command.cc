#include "cli/info_command.h"

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "cli/lost_file.h"
#include "cli/reader.h"
#include "cli/size_text.h"
#include "cli/text.h"
#include "device/image_format.h"

namespace vnvram::cli {
namespace {

std::string state_text(const StoreInfo& info) {
  if (info.sealed) {
    return "sealed: its state was handed over to another machine, a snapshot or a file";
  }
  if (info.clean) {
    return "clean";
  }
  return fmt::format("in use, or not closed in good order, by process {} on {}", info.owner_pid,
                     info.owner_host.empty() ? "an unnamed host" : printable(info.owner_host));
}

std::string info_text(const StoreInfo& info, ImageFormat format,
                      const std::optional<LostFile>& lost) {
  std::string text;
  const auto line = [&](std::string_view name, const std::string& value) {
    text += fmt::format("{:<17}{}\n", std::string(name) + ":", value);
  };
  line("uuid", uuid_text(info.uuid));
  line("format", std::to_string(info.format_version));
  line("state", state_text(info));
  line("generation", std::to_string(info.generation));
  line("epoch", std::to_string(info.epoch));
  line("image", format_size(info.image_size_bytes));
  if (format != ImageFormat::raw) {
    line("in a VM image", std::string(image_format_name(format)));
  }
  line("ring", fmt::format("{}, {} used", format_size(info.ring_size_bytes),
                           format_size(info.ring_used_bytes)));
  line("space for blobs", fmt::format("{}, {} free", format_size(info.space_size_bytes),
                                      format_size(info.space_free_bytes)));
  line("largest blob", format_size(info.blob_size_max_bytes));
  line("blobs", std::to_string(info.blob_count));
  if (lost) {
    line("trouble", lost->text());
  }
  return text;
}

nlohmann::ordered_json lost_json(const std::optional<LostFile>& lost) {
  return lost ? lost->json() : nlohmann::ordered_json();
}

nlohmann::ordered_json info_json(const StoreInfo& info, ImageFormat format,
                                 const std::optional<LostFile>& lost) {
  return {{"uuid", uuid_text(info.uuid)},
          {"format_version", info.format_version},
          {"generation", info.generation},
          {"epoch", info.epoch},
          {"image_size_bytes", info.image_size_bytes},
          {"image_format", image_format_name(format)},
          {"ring_size_bytes", info.ring_size_bytes},
          {"ring_used_bytes", info.ring_used_bytes},
          {"space_size_bytes", info.space_size_bytes},
          {"space_free_bytes", info.space_free_bytes},
          {"blob_size_max_bytes", info.blob_size_max_bytes},
          {"blob_count", info.blob_count},
          {"clean", info.clean},
          {"sealed", info.sealed},
          {"owner_pid", info.owner_pid},
          {"owner_host", info.owner_host},
          {"lost_file", lost_json(lost)}};
}

} // namespace

InfoCommand::InfoCommand(CLI::App& parent)
    : Command(parent, "info", "show what an image says about itself",
              "Works beside a program that has the image in use. Says so if one has a file of this "
              "name open that was removed or replaced.\n\n"
              "Examples:\n"
              "  vnvram info vm.nvram\n"
              "  vnvram info --json vm.nvram | jq .space_free_bytes") {
  add_image();
  app().add_flag("--json", json_, "print JSON");
}

Result<ExitCode> InfoCommand::run(Output& output) {
  StoreInfo info;
  const Status status = read_image(image(), device(), [&](Store& store) -> Status {
    info = store.info();
    return {};
  });
  const std::optional<LostFile> lost = find_lost_file(image());
  if (!status) {
    if (json_ && lost && status.error().kind() == ErrorKind::absent) {
      output.write_json({{"lost_file", lost->json()}});
    }
    return status.error();
  }
  const Result<ImageContainer> container = find_container(image(), device());
  const ImageFormat format = container ? container->format : ImageFormat::raw;
  if (json_) {
    output.write_json(info_json(info, format, lost));
  } else {
    output.write_text(info_text(info, format, lost));
  }
  return ExitCode::ok;
}

} // namespace vnvram::cli
