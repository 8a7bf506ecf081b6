#include "provision/new_image_file.h"

#include <array>
#include <cerrno>
#include <filesystem>
#include <memory>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "device/file_device.h"
#include "device/file_space.h"
#include "device/qemu_error.h"
#include "device/qemu_img.h"
#include "device/space_keeper.h"
#include "device/vm_image_device.h"

namespace vnvram {
namespace {

// Far more than it ever needs, and each failure by chance takes milliseconds.
constexpr int tries_max = 20;

Status fill_raw(const NewFile& file, const NewImageFile& image, const CreateOptions& options) {
  auto device = FileDevice::of_open_file({.fd = UniqueFd(::fcntl(file.fd(), F_DUPFD_CLOEXEC, 0))},
                                         image.target, Access::read_write);
  if (!device) {
    return device.error();
  }
  const Status resized = (*device)->resize(image.size_bytes);
  return resized ? image.make(**device, options) : resized;
}

Status fill_vm_image(const NewFile& file, const NewImageFile& image, CreateOptions options) {
  const Result<QemuFile> for_qemu = file.for_qemu();
  Status done = for_qemu ? make_vm_image(*for_qemu, image.format, image.size_bytes, options.device)
                         : for_qemu.error();
  if (!done) {
    return done;
  }
  const ImageContainer container = {.format = image.format,
                                    .encrypted = !options.device.image_key_file.empty()};
  {
    const auto device =
        VmImageDevice::open(*for_qemu, container, Access::read_write, options.device);
    if (!device) {
      return device.error();
    }
    options.force = true; // What has never been written reads as noise where it is encrypted.
    // All of it from the beginning, the file below as well: no opening finds anything missing.
    done = ensure_space(**device, std::array{ByteRange{0, image.size_bytes}});
    done = done ? image.make(**device, options) : done;
  }
  struct stat made {};
  if (done && ::fstat(file.fd(), &made) == 0) { // It has grown since.
    done =
        reserve_file_space(file.fd(), image.target, {0, static_cast<std::uint64_t>(made.st_size)},
                           MissingSpace::allocated);
  }
  if (done && ::fsync(file.fd()) != 0) {
    return file_error(image.target, "cannot flush");
  }
  return done;
}

Status fill(const NewFile& file, const NewImageFile& image, const CreateOptions& options) {
  return image.format == ImageFormat::raw ? fill_raw(file, image, options)
                                          : fill_vm_image(file, image, options);
}

Result<NewFile> make_file(const NewImageFile& image, bool& forbidden) {
  return image.folder == nullptr
             ? NewFile::make(image.target, forbidden)
             : NewFile::make(*image.folder, std::filesystem::path(image.target).filename().string(),
                             forbidden);
}

// By its descriptor, and before it has a name that somebody else may put another file at.
Status give_rights(const NewImageFile& image, NewFile& file, bool& forbidden) {
  Result<std::optional<FileRights>> rights = image.rights_when_made();
  if (!rights || !*rights) {
    return rights ? Status() : rights.error();
  }
  struct stat made {};
  if (::fstat(file.fd(), &made) == 0) { // Not every file system can give what is given.
    (*rights)->user = made.st_uid == (*rights)->user ? FileRights::as_made : (*rights)->user;
    (*rights)->group = made.st_gid == (*rights)->group ? FileRights::as_made : (*rights)->group;
  }
  const Status given = file.set_rights(**rights, forbidden);
  return given && ::fsync(file.fd()) != 0 ? file_error(image.target, "cannot flush") : given;
}

Status try_to_create(const NewImageFile& image, const CreateOptions& options, bool& forbidden) {
  Result<NewFile> file = make_file(image, forbidden);
  if (!file) {
    return file.error();
  }
  Status done = image.rights ? file->set_rights(*image.rights, forbidden) : Status();
  done = done ? fill(*file, image, options) : done;
  done = done && image.rights_when_made ? give_rights(image, *file, forbidden) : done;
  using Replaces = NewFile::Replaces;
  return done ? file->take_name(image.replaces ? Replaces::old_file : Replaces::nothing, forbidden)
              : done;
}

} // namespace

Result<ImageFormat> choose_format(const std::string& path, ImageFormat there,
                                  const CreateOptions& options) {
  if (!options.device.image_format.empty()) {
    return parse_image_format(options.device.image_format);
  }
  return there == ImageFormat::raw ? image_format_by_ending(path) : there;
}

Status create_new_image_file(const NewImageFile& image, const CreateOptions& options,
                             bool& forbidden) {
  if (const Status key = check_key_fits(image.target, image.format, options.device); !key) {
    return key;
  }
  Status done = try_to_create(image, options, forbidden);
  // In a new file each time: qemu-img deletes the one that it fails with.
  for (int tries = 1; !done && failed_by_chance(done.error()) && tries < tries_max; ++tries) {
    done = try_to_create(image, options, forbidden);
  }
  return done;
}

} // namespace vnvram
