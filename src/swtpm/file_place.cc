#include "swtpm/file_place.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <utility>

#include <fmt/core.h>

#include "base/file_error.h"
#include "base/folder.h"
#include "base/secret_bytes.h"
#include "convert/swtpm_linear_file.h"
#include "device/guarded_device.h"
#include "swtpm/other_openers.h"
#include "vnvram/public_metadata.h"
#include "vnvram/store.h"

namespace vnvram {
namespace {

constexpr mode_t mode_default = 0640;
// Of none of those that an image is locked by; swtpm's own locks are on the whole file.
constexpr off_t lock_byte = 66;
// Of no state that there is, and bounds what is read.
constexpr std::uint64_t kept_max_bytes = std::uint64_t{16} << 20U;

std::uint64_t whole_blocks(std::uint64_t size_bytes) {
  return (size_bytes + block_size_bytes - 1) / block_size_bytes * block_size_bytes;
}

bool all_zero(std::span<const std::byte> bytes) {
  return std::ranges::all_of(bytes, [](std::byte each) { return each == std::byte{0}; });
}

// Of what is there; in whole blocks, or to the end, as a device is read.
Result<std::vector<std::byte>> read_bytes(BlockDevice& device, std::uint64_t offset_bytes,
                                          std::uint64_t size_bytes) {
  const Result<std::uint64_t> all = device.size_bytes();
  if (!all.ok()) {
    return all.error();
  }
  std::vector<std::byte> bytes(
      std::min(whole_blocks(size_bytes), *all - std::min(*all, offset_bytes)));
  const Status read = device.read(offset_bytes, bytes);
  if (!read.ok()) {
    return read.error();
  }
  const auto kept_bytes = std::min<std::size_t>(bytes.size(), size_bytes);
  wipe_memory(std::span(bytes).subspan(kept_bytes)); // Whoever wipes the rest does not see it.
  bytes.resize(kept_bytes);
  return bytes;
}

Error foreign(const std::string& path) {
  return {ErrorKind::exists, path + ": it holds something that is neither swtpm's nor ours",
          "check the name; what is to be overwritten has to be zero in its first 16 MiB"};
}

// As much as a file system, or whatever else could be there, would have its mark in; and our own
// image behind a guard block that was lost.
Result<bool> is_blank(BlockDevice& device) {
  constexpr std::uint64_t looked_at_bytes = std::uint64_t{16} << 20U;
  constexpr std::uint64_t step_bytes = std::uint64_t{1} << 20U;
  const Result<std::uint64_t> size = device.size_bytes();
  if (!size.ok()) {
    return size.error();
  }
  const std::uint64_t end_bytes = std::min(*size, looked_at_bytes);
  for (std::uint64_t offset = 0; offset < end_bytes; offset += step_bytes) {
    const auto bytes = read_bytes(device, offset, std::min(step_bytes, end_bytes - offset));
    if (!bytes.ok()) {
      return bytes.error();
    }
    if (!all_zero(*bytes)) {
      return false;
    }
  }
  return true;
}

// A linear file whose mark was zeroed, as `swtpm_setup --overwrite` does it on devices.
bool was_swtpms(const std::vector<std::byte>& there, std::uint64_t size_bytes) {
  const std::vector<std::byte> whole = SwtpmLinearFile::compose({});
  constexpr std::ptrdiff_t mark_size_bytes = sizeof(std::uint64_t);
  if (there.size() < whole.size() || !all_zero(std::span(there).first(mark_size_bytes)) ||
      all_zero(std::span(there).first(whole.size()))) {
    return false;
  }
  // No more of what is there than the header is copied: a state's bytes may follow.
  std::vector<std::byte> beginning(there.begin(),
                                   there.begin() + static_cast<std::ptrdiff_t>(whole.size()));
  std::copy_n(whole.begin(), mark_size_bytes, beginning.begin());
  return SwtpmLinearFile::parse(beginning, size_bytes).ok();
}

Status write_guard_block(BlockDevice& device, const GuardBlock& guard) {
  std::array<std::byte, guard_size_bytes> block{};
  write_guard(guard, block);
  return device.write_durable(0, block);
}

// What swtpm has used of it: up to the end of its last section.
std::uint64_t used_bytes(const SwtpmLinearFile::Sections& sections) {
  std::uint64_t used = SwtpmLinearFile::header_size_bytes;
  for (const auto& section : sections) {
    used = section ? std::max(used, section->offset_bytes + section->length_bytes) : used;
  }
  return used;
}

} // namespace

Result<std::string> FilePlace::enter(Visit visit) {
  Status there = lock();
  there = there.ok() ? provide(visit) : there;
  if (!there.ok()) {
    if (lock_.valid() && is_made_) {
      ::unlink(path_.c_str()); // Nothing is in it.
    }
    leave();
    return there.error();
  }
  return path_;
}

Status FilePlace::check() const {
  struct stat opened {};
  struct stat named {};
  const bool same = ::fstat(lock_.get(), &opened) == 0 && ::stat(path_.c_str(), &named) == 0 &&
                    opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
  return same ? Status()
              : Error(ErrorKind::stale, path_ + ": it was removed or replaced while it was in use",
                      "end this program, and start it again");
}

// The image has locks of its own once it is there; until then whoever comes by the same way waits
// for nobody, and decides nothing.
Status FilePlace::lock() {
  const bool is_missing = ::access(path_.c_str(), F_OK) != 0 && errno == ENOENT;
  const mode_t mode = mode_.value_or(mode_default);
  UniqueFd file(::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY, mode));
  if (!file.valid() && errno == ENOENT) {
    return Error(ErrorKind::absent, path_ + ": there is no such folder", "make it first");
  }
  if (!file.valid() || (is_missing && ::fchmod(file.get(), mode) != 0)) {
    return change_error(path_, "cannot open it", errno);
  }
  struct flock byte {};
  byte.l_type = F_WRLCK;
  byte.l_whence = SEEK_SET;
  byte.l_start = lock_byte;
  byte.l_len = 1;
  if (::fcntl(file.get(), F_OFD_SETLK, &byte) != 0) {
    return errno == EAGAIN || errno == EACCES
               ? Error(ErrorKind::in_use, path_ + ": another swtpm, or vnvram-swtpm, has its state",
                       "end that one")
               : change_error(path_, "cannot lock it", errno);
  }
  lock_ = std::move(file);
  is_made_ = is_missing;
  return {};
}

Status FilePlace::provide(Visit visit) {
  Result<std::unique_ptr<FileDevice>> opened = FileDevice::open(path_, Access::read_write);
  if (!opened.ok()) {
    return opened.error();
  }
  std::unique_ptr<FileDevice> device = *std::move(opened);
  const Status locked = device->lock_for_writing();
  const Result<std::uint64_t> size = locked.ok() ? device->size_bytes() : locked.error();
  // swtpm's own files end anywhere.
  Result<Bytes> read =
      size.ok() ? read_bytes(*device, 0, std::min<std::uint64_t>(*size, guard_size_bytes))
                : size.error();
  if (!read.ok()) {
    return read.error();
  }
  const SecretBytes secret(*std::move(read)); // A state may follow close behind a header.
  const Bytes& beginning = secret.get();
  const GuardBlock guard = read_guard(beginning);
  if (guard.state == GuardBlock::State::whole) {
    return {};
  }
  if (visit == Visit::again) {
    const bool is_image = read_public_metadata(*device).ok();
    return is_image ? Status()
                    : Error(ErrorKind::absent,
                            path_ + ": the image that this TPM had there is not there any more",
                            "end this program, and start it again");
  }
  if (guard.state == GuardBlock::State::taking_over) {
    return go_on(std::move(device), guard);
  }
  if (guard.state == GuardBlock::State::reset_requested || was_swtpms(beginning, *size)) {
    setup_.log.warning(path_ + ": a new TPM was asked for: the old one is overwritten");
    return make_new(std::move(device));
  }
  if (SwtpmLinearFile::begins(beginning)) {
    const Status alone = check_not_open_elsewhere(path_);
    return alone.ok() ? take_over(std::move(device), beginning) : alone;
  }
  const auto metadata = read_public_metadata(*device);
  if (metadata.ok() || (metadata.error().kind() != ErrorKind::foreign &&
                        metadata.error().kind() != ErrorKind::blank)) {
    return {}; // A damaged one is refused when it is opened.
  }
  const Result<bool> blank = is_blank(*device);
  if (!blank.ok() || !*blank) {
    return blank.ok() ? foreign(path_) : blank.error();
  }
  const Status made = make_new(std::move(device));
  if (!made.ok()) {
    return made;
  }
  const std::optional<Folder> folder = Folder::open_for(path_); // The file may be new, too.
  return folder ? folder->sync(path_) : change_error(path_, "its folder cannot be opened", errno);
}

// ---- A new TPM

// Behind it is what nobody asks for any more, or nothing.
Status FilePlace::make_new(std::unique_ptr<FileDevice> device) {
  const Result<CreateOptions> options = setup_.recipe.options();
  const Result<std::uint64_t> needed =
      options.ok() ? TpmImageRecipe::size_bytes(*options) : options.error();
  const Result<std::uint64_t> size = needed.ok() ? device->size_bytes() : needed.error();
  if (!size.ok()) {
    return size.error();
  }
  Status begun;
  if (*size < guard_size_bytes + *needed && device->capabilities().resize) {
    begun = device->resize(guard_size_bytes + *needed);
  }
  GuardBlock guard;
  guard.state = GuardBlock::State::taking_over;
  begun = begun.ok() ? write_guard_block(*device, guard) : begun;
  return begun.ok() ? make_image(std::move(device), guard, {}) : begun;
}

// The guard says "taking over" until the image behind it is complete.
Status FilePlace::make_image(std::unique_ptr<FileDevice> device, GuardBlock guard,
                             TpmImageRecipe::Contents contents) {
  Result<CreateOptions> options = setup_.recipe.options(std::move(contents));
  if (!options.ok()) {
    return options.error();
  }
  options->force = true;
  FileDevice& place = *device;
  GuardedDevice behind(std::move(device), guard);
  // The usual ring, if there is room for it.
  CreateOptions roomy = *options;
  roomy.ring_size_bytes = 0;
  const Result<std::uint64_t> there = behind.size_bytes();
  const Result<std::uint64_t> usual = TpmImageRecipe::size_bytes(roomy);
  const bool has_room = there.ok() && usual.ok() && *usual <= *there;
  place.unlock(); // Who makes it takes the lock again.
  Status made = create_image(behind, has_room ? roomy : *options);
  TpmImageRecipe::wipe(roomy);
  TpmImageRecipe::wipe(*options);
  if (made.ok()) {
    guard.state = GuardBlock::State::whole;
    made = write_guard_block(place, guard);
  }
  if (made.ok()) {
    setup_.log.info(path_ + ": made an image behind a guard block");
  }
  return made;
}

// ---- swtpm's

Result<TpmImageRecipe::Contents> FilePlace::states_in(BlockDevice& device,
                                                      std::uint64_t offset_bytes,
                                                      std::uint64_t size_bytes) const {
  Result<Bytes> read = read_bytes(device, offset_bytes, size_bytes);
  if (!read.ok()) {
    return read.error();
  }
  const SecretBytes all(*std::move(read));
  const auto sections = SwtpmLinearFile::parse(all.get(), all.get().size());
  if (!sections.ok()) {
    return sections.error();
  }
  SwtpmStateFiles files;
  const StateWiper wiper(files);
  for (std::size_t state = 0; state < tpm_state_count; ++state) {
    if (const auto& section = sections->at(state)) {
      const auto begin = all.get().begin() + static_cast<std::ptrdiff_t>(section->offset_bytes);
      files.at(state).emplace(begin, begin + static_cast<std::ptrdiff_t>(section->length_bytes));
    }
  }
  return take_over_states(files, setup_, path_);
}

Status FilePlace::take_over(std::unique_ptr<FileDevice> device, const Bytes& beginning) {
  const Result<std::uint64_t> size = device->size_bytes();
  if (!size.ok()) {
    return size.error();
  }
  const auto sections = SwtpmLinearFile::parse(beginning, *size);
  if (!sections.ok()) {
    return sections.error();
  }
  GuardBlock guard;
  guard.state = GuardBlock::State::taking_over;
  guard.kept_size_bytes = used_bytes(*sections);
  const std::uint64_t kept_room_bytes = whole_blocks(guard.kept_size_bytes);
  auto contents = guard.kept_size_bytes <= kept_max_bytes
                      ? states_in(*device, 0, guard.kept_size_bytes)
                      : Result<TpmImageRecipe::Contents>(foreign(path_));
  if (!contents.ok()) {
    return contents.error();
  }
  const StateWiper wiper(*contents);
  Result<CreateOptions> options = setup_.recipe.options(*contents);
  const Result<std::uint64_t> needed =
      options.ok() ? TpmImageRecipe::size_bytes(*options) : options.error();
  if (options.ok()) {
    TpmImageRecipe::wipe(*options); // It was for that question.
  }
  if (!needed.ok()) {
    return needed.error();
  }
  // A file grows, where swtpm has used no more of it than it needed; a device has its size.
  const std::uint64_t wanted =
      guard_size_bytes + std::max(*needed, kept_room_bytes) + kept_room_bytes;
  if (*size < wanted && device->capabilities().resize) {
    if (const Status grown = device->resize(whole_blocks(wanted)); !grown.ok()) {
      return grown;
    }
  }
  const Result<std::uint64_t> now = device->size_bytes();
  if (!now.ok() || *now < wanted) {
    return !now.ok() ? now.error()
                     : Error(ErrorKind::no_space,
                             fmt::format("{}: {} bytes, and {} are needed to take over what swtpm "
                                         "has there",
                                         path_, *now, wanted),
                             "make it larger, or give the TPM a folder or another device");
  }
  guard.image_size_bytes =
      (*now - guard_size_bytes - kept_room_bytes) / block_size_bytes * block_size_bytes;
  guard.kept_offset_bytes = guard_size_bytes + guard.image_size_bytes;
  Result<Bytes> kept = read_bytes(*device, 0, guard.kept_size_bytes);
  if (!kept.ok()) {
    return kept.error();
  }
  kept->resize(kept_room_bytes);
  Status done = device->write(guard.kept_offset_bytes, *kept);
  wipe_memory(*kept);
  done = done.ok() ? device->flush() : done;
  done = done.ok() ? write_guard_block(*device, guard) : done;
  return done.ok() ? make_image(std::move(device), guard, *std::move(contents)) : done;
}

Status FilePlace::go_on(std::unique_ptr<FileDevice> device, const GuardBlock& guard) {
  if (guard.kept_size_bytes == 0) {
    return make_image(std::move(device), guard, {});
  }
  const Result<std::uint64_t> size = device->size_bytes();
  if (!size.ok()) {
    return size.error();
  }
  const bool is_there = guard.kept_size_bytes <= kept_max_bytes && guard.kept_size_bytes <= *size &&
                        guard.kept_offset_bytes <= *size - guard.kept_size_bytes &&
                        guard.kept_offset_bytes >= guard_size_bytes && guard.image_size_bytes > 0 &&
                        guard.image_size_bytes <= guard.kept_offset_bytes - guard_size_bytes;
  if (!is_there) {
    return Error(ErrorKind::corrupt,
                 path_ + ": its guard block says that swtpm's state is kept where it cannot be",
                 "restore it from a backup");
  }
  auto contents = states_in(*device, guard.kept_offset_bytes, guard.kept_size_bytes);
  return contents.ok() ? make_image(std::move(device), guard, *std::move(contents))
                       : contents.error();
}

} // namespace vnvram
