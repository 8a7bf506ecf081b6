// create_image at a path: a file is complete and durable before it takes its name.
#include <cerrno>
#include <filesystem>
#include <system_error>

#include <fmt/core.h>
#include <sys/stat.h>

#include "device/image_format.h"
#include "device/location.h"
#include "device/rbd_new_image.h"
#include "provision/image_creator.h"
#include "provision/new_file.h"
#include "provision/new_image_file.h"
#include "vnvram/store.h"

namespace vnvram {

namespace {

namespace fs = std::filesystem;

Status check_replaceable(BlockDevice& old, bool force) {
  const Status locked = old.lock_for_writing();
  if (!locked || force) {
    return locked;
  }
  // The same question that creating in place would ask, and nothing written for the answer.
  return check_creatable(old);
}

Result<std::uint64_t> choose_size(std::uint64_t size_bytes, std::uint64_t old_size_bytes,
                                  const CreateOptions& options) {
  if (size_bytes != 0) {
    if (size_bytes < image_size_min_bytes || size_bytes > image_size_max_bytes) {
      return Error{ErrorKind::invalid_argument,
                   fmt::format("an image of {} bytes: it must be {} to {} bytes", size_bytes,
                               image_size_min_bytes, image_size_max_bytes)};
    }
    return size_bytes / block_size_bytes * block_size_bytes;
  }
  std::vector<BlobSpec> specs;
  for (const NewBlob& blob : options.blobs) {
    specs.push_back(blob.spec);
  }
  const Result<std::uint64_t> recommended =
      recommended_size_bytes(specs, options.ring_size_bytes, options.encrypts());
  if (!recommended) {
    return recommended;
  }
  const std::uint64_t old_blocks =
      std::min(old_size_bytes, image_size_max_bytes) / block_size_bytes;
  return std::max(*recommended, old_blocks * block_size_bytes);
}

// What a new file is to be, and what it takes the place of.
struct Plan {
  std::string target;
  ImageFormat format = ImageFormat::raw;
  const struct stat* old = nullptr;
  BlockDevice* old_device = nullptr; ///< Locked; what it holds may be written over.
  std::uint64_t old_size_bytes = 0;
  RightsWhenMade rights = {}; ///< Of one that takes nobody's place.
};

// The file that is there, as a block device is formatted: no superblock until all is complete. It
// may grow first, with what is blank.
Status format_old(BlockDevice& old, std::uint64_t size_bytes, const CreateOptions& options,
                  const MakeImage& make) {
  const Result<std::uint64_t> there_bytes = old.size_bytes();
  if (!there_bytes) {
    return there_bytes.error();
  }
  const Status grown = size_bytes > *there_bytes ? old.resize(size_bytes) : Status{};
  return grown ? make(old, options) : grown;
}

Status create_file(const Plan& plan, std::uint64_t size_bytes, const CreateOptions& options,
                   const MakeImage& make) {
  const Result<std::uint64_t> size = choose_size(size_bytes, plan.old_size_bytes, options);
  if (!size) {
    return size.error();
  }
  NewImageFile image = {
      .target = plan.target, .format = plan.format, .size_bytes = *size, .make = make};
  if (plan.old != nullptr) {
    image.rights = FileRights::of(*plan.old);
    image.replaces = true;
  } else {
    image.rights_when_made = plan.rights;
  }
  bool forbidden = false;
  const Status done = create_new_image_file(image, options, forbidden);
  const bool in_place =
      !done && forbidden && plan.old_device != nullptr && plan.format == ImageFormat::raw;
  return in_place ? format_old(*plan.old_device, *size, options, make) : done;
}

Status create_in_place(const std::string& location, const CreateOptions& options,
                       const MakeImage& make) {
  const Result<std::unique_ptr<BlockDevice>> there =
      open_device(location, Access::read_write, options.device);
  return there ? make(**there, options) : there.error();
}

// The one that is there is grown if it has to be: what a longer one has more is blank.
Status create_in_rbd_image(BlockDevice& there, std::uint64_t size_bytes,
                           const CreateOptions& options, const MakeImage& make) {
  const Status replaceable = check_replaceable(there, options.force);
  return replaceable ? format_old(there, size_bytes, options, make) : replaceable;
}

// It is closed when this returns.
Status create_in_new_rbd_image(const RbdNewImage& made, const CreateOptions& options,
                               const MakeImage& make) {
  const Result<std::unique_ptr<BlockDevice>> there = made.open();
  return there ? make(**there, options) : there.error();
}

// Whether there is room is `make`'s question: of a copy it is another one than of a new image.
Status create_rbd_image(const std::string& location, std::uint64_t size_bytes,
                        const CreateOptions& options, const MakeImage& make) {
  {
    const Result<std::unique_ptr<BlockDevice>> there =
        open_device(location, Access::read_write, options.device);
    if (there || there.error().kind() != ErrorKind::absent) {
      return there ? create_in_rbd_image(**there, size_bytes, options, make) : there.error();
    }
  }
  const Result<std::uint64_t> size = choose_size(size_bytes, 0, options);
  if (!size) {
    return size.error();
  }
  Result<RbdNewImage> made =
      RbdNewImage::make(location, *size, options.device.timeout, options.device.note);
  if (!made) {
    return made.error();
  }
  const Status done = create_in_new_rbd_image(*made, options, make);
  return done ? made->take_name() : Status(made->removed_after(done.error()));
}

// The bytes of a file that is to be replaced whatever it holds, or what it holds.
Result<std::unique_ptr<BlockDevice>>
open_old(const std::string& path, const ImageContainer& container, const CreateOptions& options) {
  DeviceOptions device = options.device;
  device.image_format = image_format_name(options.force ? ImageFormat::raw : container.format);
  if (options.force || !container.encrypted) {
    device.image_key_file.clear(); // It is for the new one.
  }
  return open_device(path, Access::read_write, device);
}

Status replace_file(const std::string& path, const struct stat& old, std::uint64_t size_bytes,
                    const CreateOptions& options, const MakeImage& make) {
  const Result<ImageContainer> container = recognise_image(path);
  if (!container && !options.force) {
    return container.error();
  }
  const ImageContainer old_container = container ? *container : ImageContainer{};
  const Result<ImageFormat> format = choose_format(path, old_container.format, options);
  if (!format) {
    return format.error();
  }
  const Result<std::unique_ptr<BlockDevice>> there = open_old(path, old_container, options);
  if (!there) {
    return there.error();
  }
  const Status replaceable = check_replaceable(**there, options.force);
  if (!replaceable) {
    return replaceable;
  }
  if (!options.force && *format != ImageFormat::raw && *format == old_container.format) {
    return make(**there, options);
  }
  // A container's own length is no image's size.
  const Result<std::uint64_t> old_size = options.force && old_container.format != ImageFormat::raw
                                             ? Result<std::uint64_t>(0)
                                             : (*there)->size_bytes();
  std::error_code failed;
  const std::string target = fs::canonical(path, failed); // Through a link: the file, not the link.
  if (!old_size || failed) {
    return !old_size ? Status(old_size.error())
                     : Error(ErrorKind::io, fmt::format("{}: {}", path, failed.message()));
  }
  // `there` keeps its lock until the rename.
  return create_file(
      {.target = target,
       .format = *format,
       .old = &old,
       // What is no raw file is a VM image in the eyes of its device, and blank inside only.
       .old_device =
           options.force || old_container.format == ImageFormat::raw ? there->get() : nullptr,
       .old_size_bytes = *old_size},
      size_bytes, options, make);
}

} // namespace

Status create_image_file(const std::string& path, std::uint64_t size_bytes,
                         const CreateOptions& options) {
  return make_image_file(path, size_bytes, options, create_image);
}

Status make_image_file(const std::string& path, std::uint64_t size_bytes,
                       const CreateOptions& options, const MakeImage& make,
                       const RightsWhenMade& rights) {
  if (path.empty()) {
    return Error(ErrorKind::invalid_argument, "the name of the image to be made is empty",
                 "name a file or a block device");
  }
  if (scheme_of(path) == LocationScheme::rbd) {
    return create_rbd_image(path, size_bytes, options, make);
  }
  if (is_served(path)) {
    return create_in_place(path, options, make);
  }
  if (descriptor_of(path)) {
    return Error(ErrorKind::unsupported, path + ": an image is made by name",
                 "name the file or the device");
  }
  struct stat old {};
  if (::stat(path.c_str(), &old) == 0) {
    return S_ISREG(old.st_mode) ? replace_file(path, old, size_bytes, options, make)
                                : create_in_place(path, options, make);
  }
  if (errno != ENOENT) {
    return file_error(path, "cannot look at it");
  }
  std::error_code no_error;
  if (fs::is_symlink(path, no_error)) {
    return Error{ErrorKind::absent, fmt::format("{}: points to a file that is not there", path),
                 "remove the link, or name the file itself"};
  }
  const Result<ImageFormat> format = choose_format(path, ImageFormat::raw, options);
  return format ? create_file({.target = path, .format = *format, .rights = rights}, size_bytes,
                              options, make)
                : Status(format.error());
}

namespace {

// Where a new file comes, there has to be room for it and its folder.
Status check_new_file(const std::string& path, std::uint64_t size_bytes,
                      const CreateOptions& options) {
  const Result<std::uint64_t> size = choose_size(size_bytes, 0, options);
  const Status fits = size ? check_room(path, *size, options) : Status(size.error());
  if (!fits) {
    return fits;
  }
  bool forbidden = false;
  const Result<NewFile> tried = NewFile::make(path, forbidden);
  return tried ? Status() : tried.error();
}

Status check_old(BlockDevice& device, bool is_file, std::uint64_t size_bytes,
                 const CreateOptions& options) {
  const Status free = options.force ? Status() : check_creatable(device);
  if (!free && free.error().kind() == ErrorKind::exists) {
    return free;
  }
  const Result<std::uint64_t> old_size = device.size_bytes();
  if (!is_file) {
    return old_size ? check_room(device.name(), *old_size, options) : old_size.error();
  }
  const Result<std::uint64_t> size = choose_size(size_bytes, old_size ? *old_size : 0, options);
  return size ? check_room(device.name(), *size, options) : Status(size.error());
}

} // namespace

// What cannot be opened, or found out, is said when it is written to.
Status check_image_file(const std::string& path, std::uint64_t size_bytes,
                        const CreateOptions& options) {
  const Status contents = check_contents(options);
  if (!contents || descriptor_of(path)) {
    return contents;
  }
  struct stat old {};
  if (!is_served(path) && ::stat(path.c_str(), &old) != 0) {
    return errno == ENOENT || errno == ENOTDIR ? check_new_file(path, size_bytes, options)
                                               : Status();
  }
  const bool is_rbd = scheme_of(path) == LocationScheme::rbd;
  const auto container = recognise_image(path);
  const bool is_file =
      is_rbd || (!is_served(path) && S_ISREG(old.st_mode) &&
                 (options.force || !container || container->format == ImageFormat::raw));
  const auto there = open_device(path, Access::read_only, options.device);
  if (!there && is_rbd && there.error().kind() == ErrorKind::absent) {
    const Result<std::uint64_t> size = choose_size(size_bytes, 0, options);
    return size ? check_room(path, *size, options) : Status(size.error());
  }
  return there ? check_old(**there, is_file, size_bytes, options) : Status();
}

} // namespace vnvram
