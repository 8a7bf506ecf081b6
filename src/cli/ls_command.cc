#include "cli/ls_command.h"

#include <nlohmann/json.hpp>

#include "cli/owner_socket.h"
#include "cli/reader.h"
#include "cli/text.h"

namespace vnvram::cli {
namespace {

std::string blobs_text(const std::vector<BlobInfo>& blobs) {
  std::vector<std::vector<std::string>> lines{
      {"NAME", "TYPE", "SIZE", "MAX", "GENERATION", "PRODUCER"}};
  for (const BlobInfo& blob : blobs) {
    lines.push_back({printable(blob.name), printable(blob.type), std::to_string(blob.size_bytes),
                     std::to_string(blob.size_max_bytes), std::to_string(blob.generation),
                     printable(blob.producer)});
  }
  return table(lines, {false, false, true, true, true, false});
}

nlohmann::ordered_json blobs_json(const std::vector<BlobInfo>& blobs) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const BlobInfo& blob : blobs) {
    list.push_back({{"name", blob.name},
                    {"type", blob.type},
                    {"size_bytes", blob.size_bytes},
                    {"size_max_bytes", blob.size_max_bytes},
                    {"generation", blob.generation},
                    {"registered_generation", blob.registered_generation},
                    {"producer", blob.producer},
                    {"attributes", attributes_json(blob.attributes)}});
  }
  return {{"blobs", list}};
}

Result<std::vector<BlobInfo>> blobs_of_image(const std::string& image, const DeviceOptions& device,
                                             const KeyRing& keys) {
  std::vector<BlobInfo> blobs;
  const Status status = read_image(image, device, keys, [&](Store& store) -> Status {
    blobs = store.blobs();
    return {};
  });
  return status ? Result<std::vector<BlobInfo>>(std::move(blobs)) : status.error();
}

Result<std::vector<BlobInfo>> blobs_of_owner(const std::string& image) {
  const auto client = connect_blobs(image);
  return client ? (*client)->blobs() : client.error();
}

} // namespace

LsCommand::LsCommand(CLI::App& parent)
    : Command(parent, "ls", "list the blobs of an image",
              "Sizes are bytes. GENERATION is the commit that last changed the blob; 0: it was\n"
              "registered and never written.\n\n"
              "Examples:\n"
              "  vnvram ls vm.nvram\n"
              "  vnvram ls --json vm.nvram | jq -r '.blobs[].name'") {
  add_image_or_owner();
  app().add_flag("--json", json_, "print JSON");
}

Result<ExitCode> LsCommand::run(Output& output) {
  if (const Status fit = check_for_owner(); is_owner_socket(image()) && !fit) {
    return fit.error();
  }
  const Result<std::vector<BlobInfo>> blobs = is_owner_socket(image())
                                                  ? blobs_of_owner(image())
                                                  : blobs_of_image(image(), device(), keys());
  if (!blobs) {
    return blobs.error();
  }
  if (json_) {
    output.write_json(blobs_json(*blobs));
  } else {
    output.write_text(blobs_text(*blobs));
  }
  return ExitCode::ok;
}

} // namespace vnvram::cli
