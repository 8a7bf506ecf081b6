#include "swtpm/swtpm_log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

#include <libtpms/tpm_library.h>

#include <fmt/core.h>

namespace vnvram {
namespace {

constexpr unsigned details_level = 2;
constexpr unsigned libtpms_level = 5;
constexpr unsigned libtpms_level_max = 1000; // More than it has.

Result<UniqueFd> open_file(const LogOption& option) {
  const int truncates = option.truncates ? O_TRUNC : 0;
  UniqueFd file(::open(option.file.c_str(),
                       O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC | truncates,
                       S_IRUSR | S_IWUSR));
  if (!file.valid()) {
    return Error(ErrorKind::io,
                 fmt::format("Could not open logfile for writing: {}: {}", option.file,
                             std::system_category().message(errno)),
                 "whoever the TPM runs as has to be allowed to write there");
  }
  return file;
}

Status check_descriptor(int descriptor) {
  const int flags = ::fcntl(descriptor, F_GETFL);
  const bool is_writable = flags != -1 && (flags & O_ACCMODE) != O_RDONLY;
  const int error = flags == -1 ? errno : EPERM;
  return is_writable ? Status()
                     : Error(ErrorKind::invalid_argument,
                             fmt::format("Could not access logfile using fd {}: {}", descriptor,
                                         std::system_category().message(error)),
                             "it has to be open for writing");
}

// Its levels go from 1 up; deeper ones are indented by itself.
void let_libtpms_speak(const LogOption& option, int descriptor) {
  if (option.level < libtpms_level || option.is_off) {
    return;
  }
  TPMLIB_SetDebugFD(descriptor);
  TPMLIB_SetDebugPrefix((option.prefix + "    ").c_str());
  TPMLIB_SetDebugLevel(std::min(option.level - libtpms_level + 1, libtpms_level_max));
}

} // namespace

SwtpmLog::SwtpmLog(UniqueFd file, const LogTarget& target, LogLevel level)
    : file_(std::move(file)), lines_(target, level),
      is_stderr_(target.descriptor == STDERR_FILENO) {}

Result<SwtpmLog> SwtpmLog::open(const LogOption& option) {
  UniqueFd file;
  LogTarget target{.descriptor = option.descriptor.value_or(STDERR_FILENO),
                   .prefix = option.prefix};
  if (option.is_off) {
    target.descriptor = -1;
  } else if (!option.file.empty()) {
    Result<UniqueFd> opened = open_file(option);
    if (!opened.ok()) {
      return opened.error();
    }
    file = *std::move(opened);
    target.descriptor = file.get();
  } else if (option.descriptor) {
    if (Status checked = check_descriptor(*option.descriptor); !checked.ok()) {
      return checked.error();
    }
  }
  let_libtpms_speak(option, target.descriptor);
  const LogLevel level = option.level < details_level ? LogLevel::info : LogLevel::debug;
  return SwtpmLog(std::move(file), target, level);
}

void SwtpmLog::start_error(std::string_view text) const {
  // Not as errors, whose lines say so: swtpm's messages do that themselves where they want to.
  lines_.info(text);
  if (!is_stderr_) {
    const LogTarget terminal{.descriptor = STDERR_FILENO, .prefix = default_log().prefix};
    Log(terminal, LogLevel::info).info(text);
  }
}

} // namespace vnvram
