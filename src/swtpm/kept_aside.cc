#include "swtpm/kept_aside.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include "base/file_error.h"
#include "base/secret_bytes.h"
#include "base/unique_fd.h"
#include "convert/new_entry.h"
#include "convert/stored_bytes.h"
#include "convert/swtpm_state_file.h"
#include "swtpm/named_file.h"

namespace vnvram {
namespace {

using Bytes = std::vector<std::byte>;

constexpr int names_max = 1000;

std::string name_for(const std::string& name, int number) {
  return name + ".swtpm" + (number == 1 ? "" : "." + std::to_string(number));
}

bool same_bytes(const Folder& folder, const std::string& one, const std::string& other) {
  auto first = read_stored_file(folder, one, SwtpmStateFile::size_max_bytes);
  auto second = read_stored_file(folder, other, SwtpmStateFile::size_max_bytes);
  const bool are_read = first.ok() && second.ok();
  const SecretBytes mine(first.ok() ? *std::move(first) : Bytes());
  const SecretBytes theirs(second.ok() ? *std::move(second) : Bytes());
  return are_read && mine.get() == theirs.get();
}

bool has_name(const UniqueFd& file, const Folder& folder, const std::string& name) {
  struct stat opened {};
  struct stat named {};
  return ::fstat(file.get(), &opened) == 0 && folder.look_at(name, named) &&
         opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

// Where a file system has no links it is copied. swtpm itself does not flush what it writes.
Status give_second_name(const Folder& folder, const std::string& old_name,
                        const std::string& name) {
  const std::string path = folder.path_of(old_name);
  const UniqueFd file = folder.open_file(old_name, O_RDONLY | O_NOCTTY | O_NONBLOCK);
  if (!file.valid() || ::fsync(file.get()) != 0) {
    return change_error(path, "cannot keep it aside", errno);
  }
  if (::linkat(folder.fd(), old_name.c_str(), folder.fd(), name.c_str(), 0) == 0) {
    // By name, as a chroot may have no /proc: what has been flushed is to be what is kept.
    if (has_name(file, folder, name)) {
      return folder.sync(folder.path_of(name));
    }
    (void)::unlinkat(folder.fd(), name.c_str(), 0); // It would be taken for a TPM's state.
    return Error(ErrorKind::stale, path + ": something else has its name by now",
                 "look who changes this folder");
  }
  auto bytes = read_stored_file(folder, old_name, SwtpmStateFile::size_max_bytes);
  if (!bytes.ok()) {
    return bytes.error();
  }
  std::vector<NewFileContent> files(1); // A list in braces would be copied.
  files.front() = {.name = name, .bytes = *std::move(bytes)};
  const Status written = write_new_files(folder, files);
  wipe_memory(files.front().bytes);
  return written;
}

} // namespace

std::string kept_aside(const Folder& folder, const std::string& name) {
  struct stat unused {};
  const std::string kept = name_for(name, 1);
  return folder.look_at(kept, unused) ? folder.path_of(kept) : std::string();
}

Result<std::string> keep_aside(const Folder& folder, const std::string& name) {
  for (int number = 1; number <= names_max; ++number) {
    const std::string kept = name_for(name, number);
    struct stat unused {};
    if (!folder.look_at(kept, unused)) {
      const Status done = give_second_name(folder, name, kept);
      return done.ok() ? Result<std::string>(folder.path_of(kept)) : done.error();
    }
    // An earlier attempt was cut behind it.
    if (const auto there = find_file(folder, kept); there.ok() && same_bytes(folder, name, kept)) {
      return folder.path_of(kept);
    }
  }
  return Error(ErrorKind::exists,
               folder.path_of(name) + ": too many states of swtpm are kept beside it",
               "remove those that nobody needs");
}

} // namespace vnvram
