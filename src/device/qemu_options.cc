#include "device/qemu_options.h"

#include <sys/stat.h>

#include <filesystem>
#include <string_view>
#include <system_error>

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

std::string qemu_file_name(const std::string& path) {
  std::error_code failed;
  const std::string result = std::filesystem::absolute(path, failed).string();
  return failed ? path : result;
}

std::string qemu_image_options(const std::string& path, const ImageContainer& image) {
  struct stat status = {};
  const bool block_special = ::stat(path.c_str(), &status) == 0 && S_ISBLK(status.st_mode);
  std::string options = fmt::format(
      "driver={},file.driver={},file.locking=on,file.filename={}", image_format_name(image.format),
      block_special ? "host_device" : "file", doubled_commas(qemu_file_name(path)));
  if (image.encrypted) {
    options += image.format == ImageFormat::luks ? ",key-secret=key"
                                                 : ",encrypt.format=luks,encrypt.key-secret=key";
  }
  return options;
}

std::string qemu_secret_option(const std::string& key_file) {
  return "secret,id=key,file=" + doubled_commas(qemu_file_name(key_file));
}

} // namespace vnvram
