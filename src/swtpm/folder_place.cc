#include "swtpm/folder_place.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cassert>
#include <cerrno>
#include <utility>

#include "base/file_error.h"
#include "convert/swtpm_folder.h"
#include "device/file_device.h"
#include "provision/new_file.h"
#include "provision/new_image_file.h"
#include "swtpm/kept_aside.h"
#include "swtpm/named_file.h"
#include "vnvram/public_metadata.h"
#include "vnvram/store.h"

namespace vnvram {
namespace {

constexpr mode_t folder_mode_default = 0640;
constexpr mode_t lock_mode = 0660;

Error not_taken(const std::string& folder) {
  return {ErrorKind::in_use, folder + ": another swtpm, or vnvram-swtpm, has its state",
          "end that one; on shared storage it lets go when its machine has left"};
}

} // namespace

FolderPlace::FolderPlace(std::string folder, std::optional<mode_t> mode, PlaceSetup setup)
    : path_(std::move(folder)), mode_(mode), setup_(std::move(setup)),
      image_name_(SwtpmFolder::file_name(setup_.recipe.version(), TpmState::permanent)),
      image_path_(path_ + "/" + image_name_) {}

Result<std::string> FolderPlace::enter(Visit visit) {
  Status there = lock();
  there = there.ok() ? provide(visit) : there;
  Result<UniqueFd> image = there.ok() ? find_file(*folder_, image_name_) : there.error();
  if (image.ok() && !image->valid()) {
    image = Error(ErrorKind::absent, image_path_ + ": it is gone again");
  }
  if (!image.ok()) {
    leave();
    return image.error();
  }
  image_ = *std::move(image);
  return image_path_;
}

// By its path it could be another one by now, and another machine's.
Result<std::unique_ptr<BlockDevice>> FolderPlace::open() {
  assert(folder_);
  UniqueFd file = folder_->open_file(image_name_, O_RDWR | O_NOCTTY | O_NONBLOCK);
  if (!file.valid()) {
    return change_error(image_path_, "cannot open for writing", errno);
  }
  struct stat found {};
  struct stat opened {};
  if (::fstat(image_.get(), &found) != 0 || ::fstat(file.get(), &opened) != 0 ||
      found.st_dev != opened.st_dev || found.st_ino != opened.st_ino) {
    return Error(ErrorKind::stale, image_path_ + ": was replaced while it was opened",
                 "look who changes this folder");
  }
  auto device = FileDevice::of_found_file({.fd = std::move(file)}, image_path_, Access::read_write);
  return device.ok() ? Result<std::unique_ptr<BlockDevice>>(*std::move(device)) : device.error();
}

Status FolderPlace::check() const {
  return check_name_of(image_, image_path_);
}

void FolderPlace::leave() {
  lock_.reset();
  folder_.reset();
}

// swtpm's is on the whole file, and ours keeps it out for as long as the image is open.
Status FolderPlace::lock() {
  const std::string path = SwtpmFolder(path_).lock_path();
  folder_ = Folder::open(path_);
  UniqueFd file = folder_ ? folder_->open_file(SwtpmFolder::lock_name, O_RDWR | O_CREAT, lock_mode)
                          : UniqueFd();
  if (!file.valid()) {
    return errno == ENOENT
               ? Error(ErrorKind::absent, path_ + ": there is no such folder", "make it first")
               : change_error(path, "cannot open it", errno, "the folder");
  }
  struct flock whole {};
  whole.l_type = F_WRLCK;
  whole.l_whence = SEEK_SET;
  if (::fcntl(file.get(), F_OFD_SETLK, &whole) != 0) {
    return errno == EAGAIN || errno == EACCES ? not_taken(path_)
                                              : change_error(path, "cannot lock it", errno);
  }
  lock_ = std::move(file);
  return {};
}

Status FolderPlace::provide(Visit visit) {
  const Result<Found> found = look();
  if (!found.ok()) {
    return found.error();
  }
  if (*found == Found::image) {
    NewFile::remove_left(*folder_);
    // Taking them over may have been cut behind the image.
    const Status aside = put_others_aside();
    return aside.ok() ? set_mode() : aside;
  }
  if (visit == Visit::again) {
    return Error(ErrorKind::absent,
                 image_path_ + ": the image that this TPM had there is not there any more",
                 "put it back, or end this program and start it again");
  }
  if (*found == Found::state) {
    return take_over();
  }
  const Status made = make_image({});
  if (made.ok()) {
    setup_.log.info(image_path_ + ": made a new image");
    if (const std::string kept = kept_aside(*folder_, image_name_); !kept.empty()) {
      setup_.log.warning(kept +
                         ": the TPM that swtpm had here before is kept there, with its keys; "
                         "remove it if nobody needs it");
    }
  }
  return made;
}

Result<FolderPlace::Found> FolderPlace::look() const {
  const Result<UniqueFd> file = find_file(*folder_, image_name_);
  if (!file.ok() || !file->valid()) {
    return file.ok() ? Result<Found>(Found::nothing) : file.error();
  }
  struct stat status {};
  if (::fstat(file->get(), &status) != 0) {
    return change_error(image_path_, "cannot look at it", errno);
  }
  if (status.st_size == 0) {
    return Error(ErrorKind::corrupt,
                 image_path_ + ": it is empty: swtpm left that when its host lost power, and the "
                               "TPM that was there is gone",
                 "restore it from a backup; for a new TPM remove it");
  }
  UniqueFd readable = folder_->open_file(image_name_, O_RDONLY | O_NOCTTY | O_NONBLOCK);
  if (!readable.valid()) {
    return change_error(image_path_, "cannot open it", errno);
  }
  const auto device =
      FileDevice::of_open_file({.fd = std::move(readable)}, image_path_, Access::read_only);
  if (!device.ok()) {
    return device.error();
  }
  const auto metadata = read_public_metadata(**device);
  const bool is_other = !metadata.ok() && (metadata.error().kind() == ErrorKind::foreign ||
                                           metadata.error().kind() == ErrorKind::blank);
  return is_other ? Found::state : Found::image; // A damaged one is refused when it is opened.
}

// Of an image that is there: swtpm gives a state this mode each time that it writes it, and
// swtpm_setup names none.
Status FolderPlace::set_mode() const {
  if (!mode_) {
    return {};
  }
  const UniqueFd file = folder_->open_file(image_name_, O_RDONLY | O_NOCTTY | O_NONBLOCK);
  return file.valid() && ::fchmod(file.get(), *mode_) == 0
             ? Status()
             : change_error(image_path_, "cannot set its mode", errno);
}

// Beside its name, always: what has the name now is all that there is of a TPM.
Status FolderPlace::make_image(TpmImageRecipe::Contents contents) const {
  Result<CreateOptions> options = setup_.recipe.options(std::move(contents));
  const Result<std::uint64_t> size_bytes =
      options.ok() ? TpmImageRecipe::size_bytes(*options) : options.error();
  if (!size_bytes.ok()) {
    if (options.ok()) {
      TpmImageRecipe::wipe(*options);
    }
    return size_bytes.error();
  }
  struct stat old {};
  const bool replaces = folder_->look_at(image_name_, old);
  FileRights rights = replaces ? FileRights::of(old) : FileRights{.mode = folder_mode_default};
  rights.owner_is_needed = false; // Only root can give it another one; swtpm's have none either.
  rights.mode = mode_.value_or(rights.mode);
  bool forbidden = false;
  Status made = create_new_image_file({.target = image_path_,
                                       .folder = &*folder_,
                                       .rights = rights,
                                       .replaces = replaces,
                                       .size_bytes = *size_bytes},
                                      *options, forbidden);
  TpmImageRecipe::wipe(*options);
  return made;
}

Status FolderPlace::take_over() const {
  for (const TpmState state : {TpmState::volatile_state, TpmState::save_state}) {
    const Result<UniqueFd> file =
        find_file(*folder_, SwtpmFolder::file_name(setup_.recipe.version(), state));
    if (!file.ok()) {
      return file.error();
    }
  }
  Result<SwtpmStateFiles> files = SwtpmFolder::read(*folder_, setup_.recipe.version());
  if (!files.ok()) {
    return files.error();
  }
  const StateWiper wiper(*files);
  Result<TpmImageRecipe::Contents> contents = take_over_states(*files, setup_, image_path_);
  if (!contents.ok()) {
    return contents.error();
  }
  const StateWiper contents_wiper(*contents); // Unless they are handed on.
  const Result<std::string> kept = keep_aside(*folder_, image_name_);
  if (!kept.ok()) {
    return kept.error();
  }
  if (Status made = make_image(*std::move(contents)); !made.ok()) {
    return made;
  }
  setup_.log.info(image_path_ + ": took over the state that swtpm had there, and kept it as " +
                  *kept);
  return put_others_aside();
}

// Those of swtpm's other states: what they hold is in the image.
Status FolderPlace::put_others_aside() const {
  for (const TpmState state : {TpmState::volatile_state, TpmState::save_state}) {
    const std::string name = SwtpmFolder::file_name(setup_.recipe.version(), state);
    const Result<UniqueFd> file = find_file(*folder_, name);
    if (!file.ok() || !file->valid()) {
      continue; // What is no file is none of swtpm's.
    }
    if (const Result<std::string> kept = keep_aside(*folder_, name); !kept.ok()) {
      return kept.error();
    }
    if (::unlinkat(folder_->fd(), name.c_str(), 0) != 0) {
      return change_error(folder_->path_of(name), "cannot remove it", errno, "the folder");
    }
  }
  return {};
}

} // namespace vnvram
