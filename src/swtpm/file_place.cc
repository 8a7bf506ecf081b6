#include "swtpm/file_place.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include <fmt/core.h>

#include "base/file_error.h"
#include "convert/swtpm_linear_file.h"
#include "device/guarded_device.h"
#include "provision/new_file.h"
#include "vnvram/public_metadata.h"
#include "vnvram/store.h"

namespace vnvram {
namespace {

constexpr mode_t mode_default = 0640;
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
  bytes.resize(std::min<std::uint64_t>(bytes.size(), size_bytes));
  return bytes;
}

Error foreign(const std::string& path) {
  return {ErrorKind::exists, path + ": it holds something that is neither swtpm's nor ours",
          "check the name; what is to be overwritten has to be zero at its beginning"};
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

Result<std::string> FilePlace::enter() {
  struct stat status {};
  if (::stat(path_.c_str(), &status) != 0) {
    if (errno != ENOENT) {
      return change_error(path_, "cannot look at it", errno);
    }
    const Status made = make_file();
    return made.ok() ? Result<std::string>(path_) : made.error();
  }
  Result<std::unique_ptr<FileDevice>> device = FileDevice::open(path_, Access::read_write);
  if (!device.ok()) {
    return device.error();
  }
  Status there = (*device)->lock_for_writing();
  there = there.ok() ? provide(*std::move(device)) : there;
  return there.ok() ? Result<std::string>(path_) : there.error();
}

Status FilePlace::provide(std::unique_ptr<FileDevice> device) {
  const Result<std::uint64_t> size = device->size_bytes();
  if (!size.ok()) {
    return size.error();
  }
  // swtpm's own files end anywhere.
  const Result<Bytes> beginning =
      read_bytes(*device, 0, std::min<std::uint64_t>(*size, guard_size_bytes));
  if (!beginning.ok()) {
    return beginning.error();
  }
  const GuardBlock guard = read_guard(*beginning);
  switch (guard.state) {
  case GuardBlock::State::whole: return {};
  case GuardBlock::State::reset_requested:
    setup_.log.warning(path_ + ": a new TPM was asked for: the old one is overwritten");
    return make_new(std::move(device));
  case GuardBlock::State::taking_over: return go_on(std::move(device), guard);
  case GuardBlock::State::none: break;
  }
  if (SwtpmLinearFile::begins(*beginning)) {
    return take_over(std::move(device), *beginning);
  }
  if (all_zero(*beginning)) {
    return make_new(std::move(device));
  }
  const auto metadata = read_public_metadata(*device);
  const bool is_image = metadata.ok() || (metadata.error().kind() != ErrorKind::foreign &&
                                          metadata.error().kind() != ErrorKind::blank);
  return is_image ? Status() : foreign(path_);
}

// ---- A new TPM

Status FilePlace::make_file() {
  bool forbidden = false;
  Result<NewFile> file = NewFile::make(path_, forbidden);
  if (!file.ok()) {
    return file.error();
  }
  const Result<CreateOptions> options = setup_.recipe.options();
  const Result<std::uint64_t> size =
      options.ok() ? TpmImageRecipe::size_bytes(*options) : options.error();
  if (!size.ok()) {
    return size.error();
  }
  Result<std::unique_ptr<FileDevice>> device = FileDevice::open(file->path(), Access::read_write);
  Status made = device.ok() ? (*device)->resize(guard_size_bytes + *size) : device.error();
  made = made.ok() ? make_new(*std::move(device)) : made;
  if (made.ok() && ::fchmod(file->fd(), mode_.value_or(mode_default)) != 0) {
    made = change_error(path_, "cannot set its mode", errno);
  }
  return made.ok() ? file->rename_to(path_, forbidden) : made;
}

// Behind it is what nobody asks for any more, or nothing.
Status FilePlace::make_new(std::unique_ptr<FileDevice> device) {
  GuardBlock guard;
  guard.state = GuardBlock::State::taking_over;
  const Status begun = write_guard_block(*device, guard);
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
  const Result<Bytes> all = read_bytes(device, offset_bytes, size_bytes);
  if (!all.ok()) {
    return all.error();
  }
  const auto sections = SwtpmLinearFile::parse(*all, all->size());
  if (!sections.ok()) {
    return sections.error();
  }
  SwtpmStateFiles files;
  for (std::size_t state = 0; state < tpm_state_count; ++state) {
    if (const auto& section = sections->at(state)) {
      const auto begin = all->begin() + static_cast<std::ptrdiff_t>(section->offset_bytes);
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
  auto contents = states_in(*device, 0, guard.kept_size_bytes);
  if (!contents.ok()) {
    return contents.error();
  }
  if (guard.kept_size_bytes > kept_max_bytes) {
    return foreign(path_);
  }
  const Result<CreateOptions> options = setup_.recipe.options(*contents);
  const Result<std::uint64_t> needed =
      options.ok() ? TpmImageRecipe::size_bytes(*options) : options.error();
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
                        guard.image_size_bytes <= guard.kept_offset_bytes;
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
