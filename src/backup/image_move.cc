#include "backup/image_move.h"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backup/image_mirror.h"
#include "backup/replaced_file.h"
#include "backup/superblock_look.h"
#include "base/random_bytes.h"
#include "base/unique_fd.h"
#include "device/location.h"
#include "format/superblock.h"
#include "provision/image_creator.h"
#include "provision/new_file.h"
#include "vnvram/store.h"

namespace vnvram {
namespace {

namespace fs = std::filesystem;

class HoldEnd {
public:
  explicit HoldEnd(MoveSource& source) : source_(source) {}
  HoldEnd(const HoldEnd&) = delete;
  HoldEnd& operator=(const HoldEnd&) = delete;
  ~HoldEnd() { source_.let_go(); }

private:
  MoveSource& source_;
};

/// Who has made the file may be another user than who has the image open. What may be done with a
/// file goes over, and nothing else of its mode.
Result<std::optional<FileRights>> rights_like(const std::string& from) {
  constexpr mode_t use = 0666;
  struct stat was {};
  const UniqueFd file(scheme_of(from) == LocationScheme::path
                          ? ::open(from.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC)
                          : -1);
  if (!file.valid() || ::fstat(file.get(), &was) != 0) {
    return std::optional<FileRights>();
  }
  if (S_ISLNK(was.st_mode)) { // By somebody's link nobody else's file is given away.
    if (::stat(from.c_str(), &was) != 0) {
      return std::optional<FileRights>();
    }
    if (S_ISREG(was.st_mode) && was.st_uid != ::geteuid()) {
      return Error(ErrorKind::unsupported,
                   location_name(from) +
                       ": it is a link, and what is made belongs to whom a file belongs",
                   "let its owner open the file by its own name, or move it as its user");
    }
  }
  FileRights rights = FileRights::of(was);
  rights.mode &= use;
  return S_ISREG(was.st_mode) ? std::optional(rights) : std::nullopt;
}

class Move {
public:
  Move(MoveSource& source, const BlockCopyTarget& target,
       const std::function<Status(std::size_t size_bytes)>& before_read)
      : source_(source), target_(target), before_read_(before_read) {}

  Result<MoveReport> run();

private:
  Status make();
  Status mirror(BlockDevice& device);
  Status decide();
  Result<std::optional<FileRights>> rights();
  [[nodiscard]] Status take_away() const;

  MoveSource& source_;
  const BlockCopyTarget& target_;
  const std::function<Status(std::size_t size_bytes)>& before_read_;
  std::string from_;
  MoveReport report_;
  bool is_made_ = false;
  bool is_new_file_ = false;
};

Result<MoveReport> Move::run() {
  if (const Status numbered = random_bytes(report_.number.bytes); !numbered) {
    return numbered.error();
  }
  report_.place = location_name_elsewhere(target_.path);
  const HoldEnd afterwards(source_);
  Status done = make();
  if (done && !is_made_) { // Something else was made there: never to be called the image.
    done = Error(ErrorKind::io, location_name(target_.path) + ": nothing was copied to it");
  }
  done = done ? decide() : done;
  return done ? Result<MoveReport>(std::move(report_)) : done.error();
}

Status Move::make() {
  const Result<SuperblockLook> look = look_at_superblocks(source_.device());
  const Status another =
      look ? check_replaced_file(source_.device(), target_) : Status(look.error());
  if (!another) {
    return another;
  }
  const std::uint64_t size_bytes = // With room for the third superblock.
      target_.size_bytes != 0
          ? target_.size_bytes
          : std::min((look->current.image_block_count + format::third_copy_blocks_from_end) *
                         block_size_bytes,
                     image_size_max_bytes);
  CreateOptions options;
  options.force = target_.force;
  options.device = target_.device;
  return make_image_file(
      target_.path, size_bytes, options,
      [&](BlockDevice& device, const CreateOptions& made) {
        return make_on_free_device(device, made.force, [&] { return mirror(device); });
      },
      [this] { return rights(); });
}

Status Move::mirror(BlockDevice& device) {
  const ImageMirror::Setup setup{.source = source_,
                                 .number = report_.number,
                                 .progress = target_.progress,
                                 .before_read = before_read_};
  ImageMirror mirror(setup, device);
  Status done = mirror.run();
  if (!done) { // It may be tried in another way.
    source_.let_go();
    return done;
  }
  is_made_ = true;
  from_ = mirror.location();
  report_.from = location_name(from_);
  const format::Superblock& superblock = mirror.superblock();
  report_.uuid = superblock.uuid;
  report_.generation = superblock.generation;
  report_.image_size_bytes = superblock.image_block_count * block_size_bytes;
  report_.encrypted = format::is_encrypted(superblock);
  report_.rounds = mirror.rounds();
  report_.held_bytes = mirror.held_bytes();
  return {};
}

// What is there has its name, and is durable. With its owner's refusal nothing has happened; with
// silence, nobody knows.
Status Move::decide() {
  const Status done = source_.leave(report_.number, report_.place);
  if (done) {
    return {};
  }
  if (done.error().kind() == ErrorKind::io || done.error().kind() == ErrorKind::poisoned) {
    report_.undecided = done.error();
    return {};
  }
  const Status taken = take_away();
  return taken ? done
               : Error(done.error().kind(),
                       fmt::format("{}; and what was made there could not be taken away: {}",
                                   done.error().cause(), taken.error().cause()),
                       "look what is there: what this move has made, nobody can open");
}

Result<std::optional<FileRights>> Move::rights() {
  is_new_file_ = true;
  return rights_like(from_);
}

// INV7k: it has no more than the name of what was made here by now, maybe: another move has come
// there since, and its owner. What is taken away is sealed for this move, and locked.
Status Move::take_away() const {
  const auto device = open_device(target_.path, Access::read_write, target_.device);
  const Status locked = device ? (*device)->lock_for_writing() : Status(device.error());
  const auto there = locked ? look_at_superblocks(**device) : locked.error();
  if (!there && there.error().kind() == ErrorKind::absent) {
    return {};
  }
  if (!there || there->current.hand_over != report_.number.bytes) {
    return there
               ? Error(ErrorKind::stale, location_name(target_.path) + ": something else is there")
               : there.error();
  }
  const Status named = (*device)->check_name();
  if (!named) {
    return named;
  }
  std::error_code failed;
  if ((is_new_file_ || fs::is_regular_file(target_.path, failed)) &&
      fs::remove(target_.path, failed)) {
    return {};
  }
  if (is_new_file_) {
    return failed ? Error(ErrorKind::io, target_.path + ": " + failed.message()) : Status();
  }
  return ImageMirror::take_away(**device);
}

} // namespace

Result<MoveReport> move_image(MoveSource& source, const BlockCopyTarget& target,
                              const std::function<Status(std::size_t size_bytes)>& before_read) {
  return Move(source, target, before_read).run();
}

} // namespace vnvram
