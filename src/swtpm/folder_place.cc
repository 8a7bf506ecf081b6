#include "swtpm/folder_place.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/file_error.h"
#include "convert/swtpm_folder.h"
#include "device/file_device.h"
#include "provision/new_file.h"
#include "swtpm/kept_aside.h"
#include "swtpm/named_file.h"
#include "vnvram/open_device.h"
#include "vnvram/public_metadata.h"
#include "vnvram/store.h"

namespace vnvram {
namespace {

constexpr mode_t folder_mode_default = 0640;
constexpr mode_t mode_bits = 07777;
constexpr mode_t lock_mode = 0660;

Error not_taken(const std::string& folder) {
  return {ErrorKind::in_use, folder + ": another swtpm, or vnvram-swtpm, has its state",
          "end that one; on shared storage it lets go when its machine has left"};
}

} // namespace

FolderPlace::FolderPlace(std::string folder, std::optional<mode_t> mode, PlaceSetup setup)
    : folder_(std::move(folder)), mode_(mode), setup_(std::move(setup)),
      image_path_(folder_ + "/" +
                  SwtpmFolder::file_name(setup_.recipe.version(), TpmState::permanent)) {}

Result<std::string> FolderPlace::enter(Visit visit) {
  Status there = lock();
  there = there.ok() ? provide(visit) : there;
  Result<UniqueFd> image = there.ok() ? find_file(image_path_) : there.error();
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

Status FolderPlace::check() const {
  return check_name_of(image_, image_path_);
}

// swtpm's is on the whole file, and ours keeps it out for as long as the image is open.
Status FolderPlace::lock() {
  const std::string path = SwtpmFolder(folder_).lock_path();
  UniqueFd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, lock_mode));
  if (!file.valid()) {
    return errno == ENOENT
               ? Error(ErrorKind::absent, folder_ + ": there is no such folder", "make it first")
               : change_error(path, "cannot open it", errno, "the folder");
  }
  struct flock whole {};
  whole.l_type = F_WRLCK;
  whole.l_whence = SEEK_SET;
  if (::fcntl(file.get(), F_OFD_SETLK, &whole) != 0) {
    return errno == EAGAIN || errno == EACCES ? not_taken(folder_)
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
    NewFile::remove_left(image_path_);
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
    if (const std::string kept = kept_aside(image_path_); !kept.empty()) {
      setup_.log.warning(kept +
                         ": the TPM that swtpm had here before is kept there, with its keys; "
                         "remove it if nobody needs it");
    }
  }
  return made;
}

Result<FolderPlace::Found> FolderPlace::look() const {
  const Result<UniqueFd> file = find_file(image_path_);
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
  const auto device = open_device(image_path_, Access::read_only, {.image_format = "raw"});
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
  const UniqueFd file(::open(image_path_.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
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
    return size_bytes.error();
  }
  struct stat old {};
  const bool replaces = ::lstat(image_path_.c_str(), &old) == 0;
  bool forbidden = false;
  Result<NewFile> file = NewFile::make(image_path_, forbidden);
  if (!file.ok()) {
    return file.error();
  }
  Result<std::unique_ptr<FileDevice>> device = FileDevice::open(file->path(), Access::read_write);
  Status made = device.ok() ? (*device)->resize(*size_bytes) : device.error();
  made = made.ok() ? create_image(**device, *options) : made;
  TpmImageRecipe::wipe(*options);
  // Only root can give it another owner; swtpm's own new files have none either.
  if (made.ok() && replaces && ::fchown(file->fd(), old.st_uid, old.st_gid) != 0) {
    setup_.log.debug(image_path_ + ": it has another owner than the state that it takes over");
  }
  const mode_t mode = mode_.value_or(replaces ? old.st_mode & mode_bits : folder_mode_default);
  if (made.ok() && ::fchmod(file->fd(), mode) != 0) {
    made = change_error(image_path_, "cannot set its mode", errno);
  }
  return made.ok() ? file->rename_to(image_path_, forbidden) : made;
}

Status FolderPlace::take_over() const {
  for (const TpmState state : {TpmState::volatile_state, TpmState::save_state}) {
    const Result<UniqueFd> file =
        find_file(folder_ + "/" + SwtpmFolder::file_name(setup_.recipe.version(), state));
    if (!file.ok()) {
      return file.error();
    }
  }
  Result<SwtpmStateFiles> files = SwtpmFolder(folder_).read(setup_.recipe.version());
  if (!files.ok()) {
    return files.error();
  }
  const StateWiper wiper(*files);
  Result<TpmImageRecipe::Contents> contents = take_over_states(*files, setup_, image_path_);
  if (!contents.ok()) {
    return contents.error();
  }
  const Result<std::string> kept = keep_aside(image_path_);
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
    const std::string path = folder_ + "/" + SwtpmFolder::file_name(setup_.recipe.version(), state);
    const Result<UniqueFd> file = find_file(path);
    if (!file.ok() || !file->valid()) {
      continue; // What is no file is none of swtpm's.
    }
    if (const Result<std::string> kept = keep_aside(path); !kept.ok()) {
      return kept.error();
    }
    if (::unlink(path.c_str()) != 0) {
      return change_error(path, "cannot remove it", errno, "the folder");
    }
  }
  return {};
}

} // namespace vnvram
