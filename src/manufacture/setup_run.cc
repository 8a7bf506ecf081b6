#include "manufacture/setup_run.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <deque>
#include <filesystem>
#include <optional>
#include <sstream>
#include <string_view>
#include <system_error>
#include <utility>

#include <fmt/core.h>

#include "base/hex.h"
#include "base/plain_text.h"
#include "base/random_bytes.h"
#include "base/unique_fd.h"
#include "device/bound_child.h"

namespace vnvram {
namespace {

namespace fs = std::filesystem;

constexpr const char* setup_name = "swtpm_setup";
constexpr const char* setup_remedy =
    "install it (Debian: swtpm-tools), or make the image without --manufacture";
constexpr std::size_t key_size_bytes = 32;
constexpr std::size_t lines_shown = 6;
constexpr std::size_t line_shown_max = 200;

// swtpm_setup hands these on in a list that it takes apart at spaces, and swtpm at commas.
Status check_word(const std::string& path, const char* remedy) {
  const bool fits = std::none_of(path.begin(), path.end(), [](char each) {
    return each == ',' || static_cast<unsigned char>(each) <= ' ';
  });
  return fits ? Status()
              : Error(ErrorKind::invalid_argument,
                      path + ": swtpm_setup takes no path with spaces or commas in it", remedy);
}

Error system_failure(const std::string& what) {
  return {ErrorKind::io, what + ": " + std::generic_category().message(errno)};
}

/// The key as swtpm_setup reads it, in memory that has no name.
Result<UniqueFd> hand_over(const SecretBytes& key) {
  std::string text = hex(key.get());
  UniqueFd memory(::memfd_create("swtpm-key", MFD_CLOEXEC));
  const bool written =
      memory.valid() &&
      ::write(memory.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
      ::lseek(memory.get(), 0, SEEK_SET) == 0;
  wipe_memory(std::as_writable_bytes(std::span(text)));
  return written ? Result<UniqueFd>(std::move(memory)) : system_failure("cannot hand over a key");
}

// What it, and the TPM under it, say at each end, beside the reason; the first is a mistake of its
// own.
bool is_usual_end(const std::string& line) {
  constexpr std::array<std::string_view, 4> beginnings = {
      "Error getting next filename", "Ending vTPM manufacturing", "ends, because of",
      "the TPM was sent TPM2_Shutdown"};
  return std::any_of(beginnings.begin(), beginnings.end(),
                     [&](std::string_view beginning) { return line.starts_with(beginning); });
}

std::string without_blanks(const std::string& line) {
  const std::size_t first = line.find_first_not_of(' ');
  return first == std::string::npos ? std::string()
                                    : line.substr(first, line.find_last_not_of(' ') + 1 - first);
}

// Of a program that it starts the name is enough: its words have a key in hundreds of digits.
std::string without_words(const std::string& line) {
  return line.starts_with("Invoking ") ? line.substr(0, line.find(" --")) : line;
}

// One line, for a message: the last of those that say something.
std::string last_lines(const std::string& said) {
  std::istringstream text(said);
  std::deque<std::string> lines;
  for (std::string line; std::getline(text, line);) {
    line = without_words(without_blanks(line));
    if (!line.empty() && !is_usual_end(line)) {
      lines.push_back(plain_text(line.substr(0, line_shown_max)));
    }
    if (lines.size() > lines_shown) {
      lines.pop_front();
    }
  }
  std::string all;
  for (const std::string& line : lines) {
    all += (all.empty() ? "" : "; ") + line;
  }
  return all;
}

} // namespace

Result<SetupRun> SetupRun::make(std::optional<Account> user) {
  std::error_code failed;
  const fs::path place = fs::temp_directory_path(failed);
  if (failed) {
    return Error(ErrorKind::io, "no folder for temporary files: " + failed.message(),
                 "set TMPDIR to one that is there");
  }
  if (const Status fits = check_word(place.string(), "set TMPDIR to another folder"); !fits) {
    return fits.error();
  }
  std::optional<WorkFolder> folder =
      WorkFolder::make((fs::absolute(place, failed) / "vnvram-manufacture-").string());
  if (!folder) {
    return system_failure(place.string() + ": cannot make a folder in it");
  }
  std::vector<std::byte> key(key_size_bytes);
  if (const Status filled = random_bytes(key); !filled) {
    return filled.error();
  }
  SetupRun made(*std::move(folder), SecretBytes(std::move(key)), std::move(user));
  const Status ready = made.make_place();
  return ready ? Result<SetupRun>(std::move(made)) : ready.error();
}

// Another user passes through our folder, and sees nothing there but its own.
Status SetupRun::make_place() const {
  const int around = folder_.folder().fd();
  const auto is_done = [&] {
    if (::mkdirat(around, "setup", S_IRWXU) != 0) {
      return false;
    }
    const std::optional<Folder> made = folder_.folder().open_below("setup");
    if (!made || ::mkdirat(made->fd(), "tpm", S_IRWXU) != 0) {
      return false;
    }
    const std::optional<Folder> state = made->open_below("tpm");
    return state && (!user_ || (::fchown(state->fd(), user_->user, user_->group) == 0 &&
                                ::fchown(made->fd(), user_->user, user_->group) == 0 &&
                                ::fchmod(around, S_IRWXU | S_IXGRP | S_IXOTH) == 0));
  };
  return is_done() ? Status() : system_failure(state_folder() + ": cannot make it");
}

Result<UniqueFd> SetupRun::open_image() const {
  const std::optional<Folder> made = folder_.folder().open_below("setup");
  const std::optional<Folder> state = made ? made->open_below("tpm") : std::nullopt;
  UniqueFd image = state ? state->open_file("tpm2-00.permall", O_RDONLY | O_NONBLOCK) : UniqueFd();
  return image.valid() ? Result<UniqueFd>(std::move(image))
                       : system_failure("what swtpm_setup has made is not there");
}

std::string SetupRun::read_log() const {
  constexpr std::size_t log_read_max_bytes = 65536; // Of its end.
  const std::optional<Folder> made = folder_.folder().open_below("setup");
  const UniqueFd log = made ? made->open_file("log", O_RDONLY | O_NONBLOCK) : UniqueFd();
  struct stat status {};
  if (!log.valid() || ::fstat(log.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    return {};
  }
  std::string text(log_read_max_bytes, '\0');
  const off_t from = std::max<off_t>(0, status.st_size - static_cast<off_t>(text.size()));
  const ssize_t count = ::pread(log.get(), text.data(), text.size(), from);
  text.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
  return text;
}

// The TPM under it says what it has to say to the same log.
Error SetupRun::failure(const std::string& program, int code, const std::string& said) const {
  const std::string lines = last_lines(read_log());
  const std::string complaints = last_lines(said);
  return {ErrorKind::io,
          fmt::format("{} has failed with code {}, and no image was made: {}{}{}", program, code,
                      lines, lines.empty() || complaints.empty() ? "" : "; ", complaints),
          remedy(lines)};
}

std::string SetupRun::remedy(const std::string& said) const {
  if (user_) {
    return fmt::format("mend what it says; it ran as {0}, whose the authority's folder is: the "
                       "files in it have to be {0}'s as well",
                       user_->name);
  }
  const bool is_anothers = said.find("rights on") != std::string::npos;
  return ::geteuid() != 0 && is_anothers
             ? "have an authority of your own: swtpm_setup --create-config-files"
             : "mend what it says; swtpm_localca(8) has the files that certificates are made with";
}

// As another user from its beginning on: with --runas it would have a TPM write to that user's
// folder as root before.
Status SetupRun::run(const std::string& tpm_program,
                     const std::vector<std::string>& options) const {
  const Result<std::string> setup = BoundChild::find(setup_name);
  const Result<std::string> env = BoundChild::find("env");
  const Result<std::string> tpm = tpm_program.find('/') == std::string::npos
                                      ? BoundChild::find(tpm_program)
                                      : Result<std::string>(tpm_program);
  if (!setup || !env) {
    return Error(ErrorKind::unsupported, (setup ? env : setup).error().cause(), setup_remedy);
  }
  if (!tpm) {
    return Error(tpm.error().kind(), tpm.error().cause(), "install all of vNVRAM's programs");
  }
  if (const Status fits = check_word(*tpm, "install vnvram-swtpm in another folder"); !fits) {
    return fits;
  }
  const Result<UniqueFd> key = hand_over(key_);
  if (!key) {
    return key.error();
  }
  // What it makes for itself meanwhile is to go with the folder, too.
  std::vector<std::string> words = {*env,
                                    "TMPDIR=" + place(),
                                    *setup,
                                    "--tpm",
                                    *tpm + " socket",
                                    "--tpm2",
                                    "--tpm-state",
                                    "dir://" + state_folder(),
                                    "--logfile",
                                    log(),
                                    "--keyfile-fd",
                                    std::to_string(BoundChild::handed_over_fd),
                                    "--cipher",
                                    "aes-256-cbc"};
  words.insert(words.end(), options.begin(), options.end());
  if (user_) {
    const Result<std::string> setpriv = BoundChild::find("setpriv");
    if (!setpriv) {
      return Error(ErrorKind::unsupported, setpriv.error().cause(), "install util-linux");
    }
    words.insert(words.begin(), {*setpriv, "--reuid=" + std::to_string(user_->user),
                                 "--regid=" + std::to_string(user_->group),
                                 user_->is_named ? "--init-groups" : "--clear-groups"});
  }
  Result<BoundChild> child = BoundChild::start(words, -1, -1, key->get());
  if (!child) {
    return child.error();
  }
  std::optional<int> code;
  while (!code) {
    code = child->wait(std::chrono::minutes(1));
  }
  child->kill(); // What it has started and left.
  return *code == 0 ? Status() : failure(*setup, *code, child->said());
}

} // namespace vnvram
