#include "backup/image_move.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <memory>
#include <system_error>
#include <utility>

#include <fmt/core.h>
#include <sys/stat.h>

#include "backup/image_mirror.h"
#include "backup/replaced_file.h"
#include "backup/superblock_look.h"
#include "base/random_bytes.h"
#include "device/location.h"
#include "format/superblock.h"
#include "provision/image_creator.h"
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

/// Its owner has another folder.
Result<std::string> place_for_others(const std::string& path) {
  if (scheme_of(path) != LocationScheme::path) {
    return path;
  }
  std::error_code failed;
  const fs::path place = fs::absolute(path, failed);
  return failed ? Result<std::string>(Error(ErrorKind::io, path + ": " + failed.message()))
                : place.string();
}

// Who has made the file may be another user than who has the image open.
Status give_rights(const std::string& from, const std::string& to) {
  struct stat was {};
  struct stat made {};
  if (scheme_of(from) != LocationScheme::path || ::stat(from.c_str(), &was) != 0 ||
      ::stat(to.c_str(), &made) != 0 || !S_ISREG(was.st_mode) || !S_ISREG(made.st_mode)) {
    return {};
  }
  const bool is_given = was.st_uid == made.st_uid && was.st_gid == made.st_gid;
  constexpr mode_t rights = 07777;
  if ((!is_given && ::chown(to.c_str(), was.st_uid, was.st_gid) != 0) ||
      ::chmod(to.c_str(), was.st_mode & rights) != 0) {
    return Error(ErrorKind::read_only,
                 fmt::format("{}: it cannot be given to whom {} belongs: {}", to, from,
                             std::system_category().message(errno)),
                 "move it as that user, or as root");
  }
  return {};
}

Status take_away(const BlockCopyTarget& target) {
  std::error_code failed;
  if (fs::is_regular_file(target.path, failed) && fs::remove(target.path, failed)) {
    return {};
  }
  const auto device = open_device(target.path, Access::read_write, target.device);
  const Status locked = device ? (*device)->lock_for_writing() : Status(device.error());
  return locked ? ImageMirror::take_away(**device) : locked;
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

  MoveSource& source_;
  const BlockCopyTarget& target_;
  const std::function<Status(std::size_t size_bytes)>& before_read_;
  std::string from_;
  MoveReport report_;
  bool is_made_ = false;
};

Result<MoveReport> Move::run() {
  const Result<std::string> place = place_for_others(target_.path);
  const Status numbered = random_bytes(report_.number.bytes);
  if (!place || !numbered) {
    return place ? numbered.error() : place.error();
  }
  report_.place = *place;
  const HoldEnd afterwards(source_);
  Status done = make();
  if (done && !is_made_) { // Something else was made there: never to be called the image.
    done = Error(ErrorKind::io, target_.path + ": nothing was copied to it");
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
      target_.path, size_bytes, options, [&](BlockDevice& device, const CreateOptions& made) {
        return make_on_free_device(device, made.force, [&] { return mirror(device); });
      });
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
  Status done = give_rights(from_, target_.path);
  done = done ? source_.leave(report_.number, report_.place) : done;
  if (done) {
    return {};
  }
  if (done.error().kind() == ErrorKind::io || done.error().kind() == ErrorKind::poisoned) {
    report_.undecided = done.error();
    return {};
  }
  const Status taken = take_away(target_);
  return taken ? done
               : Error(done.error().kind(),
                       fmt::format("{}; and what was made there could not be taken away: {}",
                                   done.error().cause(), taken.error().cause()),
                       "delete it: nobody can open it");
}

} // namespace

Result<MoveReport> move_image(MoveSource& source, const BlockCopyTarget& target,
                              const std::function<Status(std::size_t size_bytes)>& before_read) {
  return Move(source, target, before_read).run();
}

} // namespace vnvram
