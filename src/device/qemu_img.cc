#include "device/qemu_img.h"

#include <vector>

#include <fmt/core.h>

#include "device/bound_child.h"
#include "device/qemu_error.h"
#include "device/qemu_options.h"

namespace vnvram {
namespace {

// LUKS takes seconds of processor time by design.
constexpr std::chrono::minutes time_limit{2};

std::string option_list(ImageFormat format, bool with_key) {
  switch (format) {
  case ImageFormat::qcow2:
    return with_key ? "preallocation=metadata,encrypt.format=luks,encrypt.key-secret=key"
                    : "preallocation=metadata";
  case ImageFormat::vmdk: return "subformat=monolithicSparse"; // One file, which can be renamed.
  case ImageFormat::vhdx: return "subformat=dynamic";
  case ImageFormat::vdi: return "static=on";
  case ImageFormat::luks: return "key-secret=key";
  case ImageFormat::raw: break;
  }
  return {};
}

bool can_grow(ImageFormat format) {
  return format == ImageFormat::qcow2 || format == ImageFormat::luks;
}

Status run_qemu_img(const QemuFile& file, const std::vector<std::string>& words) {
  const Result<std::string> program = BoundChild::find("qemu-img");
  if (!program) {
    return Error(program.error().kind(),
                 fmt::format("{}: {}", file.name(), program.error().cause()),
                 program.error().remedy());
  }
  std::vector<std::string> arguments = {*program};
  arguments.insert(arguments.end(), words.begin(), words.end());
  Result<BoundChild> child = BoundChild::start(arguments, -1, -1, -1, file.working_folder());
  if (!child) {
    return child.error();
  }
  const std::optional<int> status = child->wait(time_limit);
  if (!status) {
    return Error(ErrorKind::io, fmt::format("{}: qemu-img has not ended in time", file.name()));
  }
  return *status == 0 ? Status{}
                      : Status(qemu_error("qemu-img", file.name(), Access::read_write,
                                          file.renamed_in(child->said())));
}

} // namespace

Status check_key_fits(const std::string& name, ImageFormat format, const DeviceOptions& options) {
  const bool with_key = !options.image_key_file.empty();
  if (format == ImageFormat::luks && !with_key) {
    return Error(ErrorKind::key_needed, name + ": a LUKS image is encrypted",
                 "name the file with its key: --image-key FILE");
  }
  if (with_key && format != ImageFormat::luks && format != ImageFormat::qcow2) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("{}: a key was given, and a {} image is not encrypted", name,
                             image_format_name(format)),
                 "use qcow2 or luks, or leave out the key");
  }
  return {};
}

Status make_vm_image(const QemuFile& file, ImageFormat format, std::uint64_t size_bytes,
                     const DeviceOptions& options) {
  const bool with_key = !options.image_key_file.empty();
  std::vector<std::string> words = {"create", "-q"};
  if (with_key) {
    words.insert(words.end(), {"--object", qemu_secret_option(options.image_key_file)});
  }
  words.insert(words.end(),
               {"-f", std::string(image_format_name(format)), "-o", option_list(format, with_key),
                file.for_programs(), std::to_string(size_bytes)});
  return run_qemu_img(file, words);
}

Status grow_vm_image(const std::string& path, const ImageContainer& image, std::uint64_t size_bytes,
                     AddedSpace space, const DeviceOptions& options) {
  if (!can_grow(image.format)) {
    return Error(
        ErrorKind::unsupported,
        fmt::format("{}: a {} image cannot be grown", path, image_format_name(image.format)),
        "make a larger one: `salvage IMAGE NEW --size N`");
  }
  const QemuFile file(path);
  std::vector<std::string> words = {"resize", "-q"};
  if (image.encrypted) {
    words.insert(words.end(), {"--object", qemu_secret_option(options.image_key_file)});
  }
  if (image.format == ImageFormat::qcow2 && space == AddedSpace::mapped) {
    words.emplace_back("--preallocation=metadata");
  }
  words.insert(words.end(),
               {"--image-opts", qemu_image_options(file, image), std::to_string(size_bytes)});
  return run_qemu_img(file, words);
}

} // namespace vnvram
