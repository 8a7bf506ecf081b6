#include "device/image_format.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include <fmt/core.h>

#include "base/unique_fd.h"
#include "device/location.h"

namespace vnvram {
namespace {

using namespace std::string_view_literals;

constexpr std::array<std::pair<ImageFormat, std::string_view>, 6> formats = {{
    {ImageFormat::raw, "raw"},
    {ImageFormat::qcow2, "qcow2"},
    {ImageFormat::vmdk, "vmdk"},
    {ImageFormat::vhdx, "vhdx"},
    {ImageFormat::vdi, "vdi"},
    {ImageFormat::luks, "luks"},
}};

constexpr std::size_t header_size_bytes = 512;

// Where a header says more than its magic does (docs of QEMU, VMware and VirtualBox).
constexpr std::size_t qcow_version_offset = 4;
constexpr std::size_t qcow_crypt_method_offset = 32;
constexpr std::size_t vmdk_flags_offset = 8;
constexpr std::uint32_t vmdk_flag_compressed = 1U << 16U;
constexpr std::size_t vdi_signature_offset = 64;

/// The first bytes; fewer, or none, of what is short or not readable.
std::string read_header(int descriptor) {
  std::string header(header_size_bytes, '\0');
  const ssize_t count = ::pread(descriptor, header.data(), header.size(), 0);
  header.resize(static_cast<std::size_t>(std::max<ssize_t>(0, count)));
  return header;
}

std::string read_header(const std::string& path) {
  if (const std::optional<int> descriptor = descriptor_of(path)) {
    return read_header(*descriptor);
  }
  struct stat status = {};
  // Opening a pipe would wait for its other end.
  if (::stat(path.c_str(), &status) != 0 ||
      (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode))) {
    return {};
  }
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  return read_header(fd.get());
}

std::uint32_t byte_at(std::string_view header, std::size_t offset) {
  return static_cast<unsigned char>(header[offset]);
}
std::uint32_t big_endian(std::string_view header, std::size_t offset) {
  return byte_at(header, offset) << 24U | byte_at(header, offset + 1) << 16U |
         byte_at(header, offset + 2) << 8U | byte_at(header, offset + 3);
}
std::uint32_t little_endian(std::string_view header, std::size_t offset) {
  return byte_at(header, offset + 3) << 24U | byte_at(header, offset + 2) << 16U |
         byte_at(header, offset + 1) << 8U | byte_at(header, offset);
}

Error unusable(const std::string& path, std::string_view what) {
  return {ErrorKind::unsupported, fmt::format("{}: {}", path, what),
          "convert it: qemu-img convert -O qcow2"};
}

Result<ImageContainer> recognise_qcow(const std::string& path, std::string_view header) {
  if (big_endian(header, qcow_version_offset) < 2) {
    return unusable(path, "a qcow image of version 1");
  }
  switch (big_endian(header, qcow_crypt_method_offset)) {
  case 0: return ImageContainer{.format = ImageFormat::qcow2};
  case 2: return ImageContainer{.format = ImageFormat::qcow2, .encrypted = true};
  default: return unusable(path, "a qcow2 image with an encryption that is not safe any more");
  }
}

Result<ImageContainer> recognise_vmdk(const std::string& path, std::string_view header) {
  if ((little_endian(header, vmdk_flags_offset) & vmdk_flag_compressed) != 0) {
    return unusable(path, "a stream-optimized VMDK image, which cannot be written to");
  }
  return ImageContainer{.format = ImageFormat::vmdk};
}

} // namespace

std::string_view image_format_name(ImageFormat format) {
  return std::find_if(formats.begin(), formats.end(),
                      [&](const auto& row) { return row.first == format; })
      ->second;
}

Result<ImageFormat> parse_image_format(std::string_view name) {
  std::string names;
  for (const auto& [format, known] : formats) {
    if (known == name) {
      return format;
    }
    names += (names.empty() ? "" : ", ") + std::string(known);
  }
  return Error(ErrorKind::invalid_argument, fmt::format("there is no image format {}", name),
               "it is one of " + names);
}

ImageFormat image_format_by_ending(std::string_view path) {
  for (const auto& [format, name] : formats) {
    if (format != ImageFormat::raw && path.ends_with("." + std::string(name))) {
      return format;
    }
  }
  return ImageFormat::raw;
}

Result<ImageContainer> find_container(const std::string& path, const DeviceOptions& options) {
  const Result<ImageFormat> wanted = options.image_format.empty()
                                         ? Result<ImageFormat>(ImageFormat::raw)
                                         : parse_image_format(options.image_format);
  if (!wanted || (!options.image_format.empty() && *wanted == ImageFormat::raw)) {
    return wanted ? Result<ImageContainer>(ImageContainer{}) : wanted.error();
  }
  const Result<ImageContainer> found = recognise_image(path);
  if (!found || options.image_format.empty() || found->format == *wanted) {
    return found;
  }
  return Error(ErrorKind::invalid_argument,
               fmt::format("{}: it is not a {} image", path, options.image_format),
               "leave out the format, or check the name");
}

Status check_no_key(const std::string& name, const DeviceOptions& options) {
  return options.image_key_file.empty()
             ? Status{}
             : Error(ErrorKind::invalid_argument,
                     name + ": a key was given, and the image is not encrypted",
                     "leave out the key, or check the name");
}

Result<ImageContainer> recognise_image(const std::string& path) {
  const std::string bytes = read_header(path);
  const std::string_view header = bytes;
  if (header.starts_with("# Disk DescriptorFile"sv)) {
    return ImageContainer{.format = ImageFormat::vmdk}; // The text that names the parts.
  }
  if (header.size() < header_size_bytes) {
    return ImageContainer{};
  }
  if (header.starts_with("QFI\xfb"sv)) {
    return recognise_qcow(path, header);
  }
  if (header.starts_with("KDMV"sv)) {
    return recognise_vmdk(path, header);
  }
  if (header.starts_with("vhdxfile"sv)) {
    return ImageContainer{.format = ImageFormat::vhdx};
  }
  if (header.starts_with("<<< "sv) &&
      header.substr(vdi_signature_offset).starts_with("\x7f\x10\xda\xbe"sv)) {
    return ImageContainer{.format = ImageFormat::vdi};
  }
  if (header.starts_with("LUKS\xba\xbe"sv)) {
    return ImageContainer{.format = ImageFormat::luks, .encrypted = true};
  }
  if (header.starts_with("conectix"sv)) {
    return unusable(path, "a VHD image, whose size is not what was asked for");
  }
  return ImageContainer{};
}

} // namespace vnvram
