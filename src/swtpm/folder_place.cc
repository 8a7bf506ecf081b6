#include "swtpm/folder_place.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/file_error.h"
#include "convert/swtpm_folder.h"
#include "provision/new_file.h"
#include "swtpm/kept_aside.h"
#include "vnvram/open_device.h"
#include "vnvram/public_metadata.h"
#include "vnvram/store.h"

namespace vnvram {
namespace {

constexpr mode_t mode_default = 0640;
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

Result<std::string> FolderPlace::enter() {
  Status there = lock();
  there = there.ok() ? provide() : there;
  if (!there.ok()) {
    leave();
    return there.error();
  }
  return image_path_;
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

Status FolderPlace::provide() {
  const Result<Found> found = look();
  if (!found.ok()) {
    return found.error();
  }
  switch (*found) {
  case Found::nothing: return make_new();
  case Found::state: return take_over();
  case Found::image: break;
  }
  // Taking them over may have been cut behind the image.
  NewFile::remove_left(image_path_);
  return put_others_aside();
}

Result<FolderPlace::Found> FolderPlace::look() const {
  struct stat status {};
  if (::stat(image_path_.c_str(), &status) != 0) {
    return errno == ENOENT ? Result<Found>(Found::nothing)
                           : change_error(image_path_, "cannot look at it", errno);
  }
  if (status.st_size == 0) {
    return Error(ErrorKind::corrupt,
                 image_path_ + ": it is empty: swtpm left that when its host lost power, and the "
                               "TPM that was there is gone",
                 "restore it from a backup; for a new TPM remove it");
  }
  // Never as a VM image, whatever it says of itself: for that a program would have to be started.
  const auto device = open_device(image_path_, Access::read_only, {.image_format = "raw"});
  if (!device.ok()) {
    return device.error();
  }
  const auto metadata = read_public_metadata(**device);
  const bool is_other = !metadata.ok() && (metadata.error().kind() == ErrorKind::foreign ||
                                           metadata.error().kind() == ErrorKind::blank);
  return is_other ? Found::state : Found::image; // A damaged one is refused when it is opened.
}

Status FolderPlace::make_image(TpmImageRecipe::Contents contents, bool replaces) const {
  Result<CreateOptions> options = setup_.recipe.options(std::move(contents));
  if (!options.ok()) {
    return options.error();
  }
  const Result<std::uint64_t> size_bytes = TpmImageRecipe::size_bytes(*options);
  if (!size_bytes.ok()) {
    return size_bytes.error();
  }
  options->force = replaces;
  Status made = create_image_file(image_path_, *size_bytes, *options);
  if (made.ok() && (mode_ || !replaces) &&
      ::chmod(image_path_.c_str(), mode_.value_or(mode_default)) != 0) {
    made = change_error(image_path_, "cannot set its mode", errno);
  }
  return made;
}

Status FolderPlace::make_new() const {
  Status made = make_image({}, false);
  if (made.ok()) {
    setup_.log.info(image_path_ + ": made a new image");
  }
  return made;
}

Status FolderPlace::take_over() const {
  const Result<SwtpmStateFiles> files = SwtpmFolder(folder_).read(setup_.recipe.version());
  if (!files.ok()) {
    return files.error();
  }
  Result<TpmImageRecipe::Contents> contents = take_over_states(*files, setup_, image_path_);
  if (!contents.ok()) {
    return contents.error();
  }
  const Result<std::string> kept = keep_aside(image_path_);
  if (!kept.ok()) {
    return kept.error();
  }
  if (Status made = make_image(*std::move(contents), true); !made.ok()) {
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
    if (::access(path.c_str(), F_OK) != 0) {
      continue;
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
