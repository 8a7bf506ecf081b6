#include <fcntl.h>

#include <optional>
#include <utility>

#include <fmt/core.h>

#include "keys/external_key_holder.h"
#include "keys/file_key_holder.h"
#include "keys/key_input.h"
#include "keys/passphrase_holder.h"
#include "keys/public_key_holder.h"
#include "vnvram/key.h"

namespace vnvram {
namespace {

/// What is behind `scheme` in `text`; nothing if that does not begin so.
std::optional<std::string_view> behind(std::string_view text, std::string_view scheme) {
  return text.starts_with(scheme) ? std::optional(text.substr(scheme.size())) : std::nullopt;
}

std::shared_ptr<KeyHolder> parse_command(std::string_view text) {
  constexpr std::string_view mark = ",public=";
  const std::size_t at = text.rfind(mark);
  const std::string_view command = text.substr(0, at);
  const std::string_view path =
      at == std::string_view::npos ? std::string_view() : text.substr(at + mark.size());
  return command.empty() || (at != std::string_view::npos && path.empty())
             ? nullptr
             : std::make_shared<ExternalKeyHolder>(std::string(command), std::string(path));
}

std::shared_ptr<KeyHolder> parse_holder(std::string_view text) {
  if (text == "passphrase") {
    return std::make_shared<PassphraseHolder>(std::nullopt);
  }
  if (const auto input = behind(text, "passphrase:")) {
    auto parsed = parse_key_input(*input);
    return parsed ? std::make_shared<PassphraseHolder>(std::move(parsed)) : nullptr;
  }
  if (const auto path = behind(text, "public:")) {
    return path->empty() ? nullptr : std::make_shared<PublicKeyHolder>(std::string(*path));
  }
  if (const auto command = behind(text, "exec:")) {
    return parse_command(*command);
  }
  auto input = parse_key_input(text);
  return input ? std::make_shared<FileKeyHolder>(*std::move(input)) : nullptr;
}

// Looked at before anything else is opened: later its number may be that of a file of our own,
// which would then be read for a key.
Status check_descriptor(std::string_view text) {
  const auto input = parse_key_input(behind(text, "passphrase:").value_or(text));
  if (!input || input->descriptor < 0) {
    return {};
  }
  const int flags = ::fcntl(input->descriptor, F_GETFL);
  if (flags >= 0 && (flags & O_ACCMODE) != O_WRONLY && (flags & O_PATH) == 0) {
    return {};
  }
  return Error(ErrorKind::invalid_argument,
               fmt::format("a key is to be read from descriptor {}, which is not open for reading",
                           input->descriptor),
               fmt::format("in a shell: {}< FILE", input->descriptor));
}

} // namespace

std::string_view key_slot_kind_name(KeySlotKind kind) {
  switch (kind) {
  case KeySlotKind::key: return "key";
  case KeySlotKind::passphrase: return "passphrase";
  case KeySlotKind::public_key: return "public";
  case KeySlotKind::external: return "external";
  }
  return "unknown";
}

Result<KeySource> KeySource::parse(std::string_view text) {
  auto holder = parse_holder(text);
  if (holder == nullptr) {
    // Not what was given: it may be the key itself.
    return Error(ErrorKind::invalid_argument, "that does not say where a key is",
                 "file:PATH, fd:N, passphrase, passphrase:file:PATH, passphrase:fd:N, "
                 "exec:COMMAND, or for a new slot public:PATH");
  }
  if (const Status open = check_descriptor(text); !open) {
    return open.error();
  }
  return KeySource(std::string(text), std::move(holder));
}

Result<KeySource> KeySource::of_key(std::span<const std::byte> key, std::string name) {
  if (const Status fits = check_key_size(key.size(), name); !fits) {
    return fits.error();
  }
  auto holder = std::make_shared<FileKeyHolder>(SecretBytes(key));
  return KeySource(std::move(name), std::move(holder));
}

} // namespace vnvram
