// How QEMU's programs are told about an image on their command lines.
#pragma once

#include <string>

#include "device/image_format.h"
#include "device/qemu_file.h"

namespace vnvram {

/// For --image-opts: nothing is left for QEMU to guess, and no image is opened without its locks.
/// An encrypted image's key is the secret object "key".
std::string qemu_image_options(const QemuFile& file, const ImageContainer& image);
/// For --object: the secret object "key".
std::string qemu_secret_option(const std::string& key_file);

} // namespace vnvram
