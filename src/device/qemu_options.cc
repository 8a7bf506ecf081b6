#include "device/qemu_options.h"

#include <string_view>

#include <fmt/core.h>

namespace vnvram {
namespace {

/// In a list of options (a=b,c=d) commas are doubled.
std::string doubled_commas(std::string_view value) {
  std::string result;
  for (const char letter : value) {
    result += letter == ',' ? ",," : std::string(1, letter);
  }
  return result;
}

} // namespace

std::string qemu_image_options(const QemuFile& file, const ImageContainer& image) {
  std::string options = fmt::format(
      "driver={},file.driver={},file.locking=on,file.filename={}", image_format_name(image.format),
      file.is_block_device() ? "host_device" : "file", doubled_commas(file.for_programs()));
  if (image.encrypted) {
    options += image.format == ImageFormat::luks ? ",key-secret=key"
                                                 : ",encrypt.format=luks,encrypt.key-secret=key";
  }
  return options;
}

std::string qemu_secret_option(const std::string& key_file) {
  return "secret,id=key,file=" + doubled_commas(QemuFile(key_file).for_programs());
}

} // namespace vnvram
