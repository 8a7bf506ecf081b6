#include "keys/held_key.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>
#include <utility>

#include <fmt/core.h>

#include "base/plain_text.h"
#include "format/key_slot.h"
#include "keys/key_input.h"
#include "keys/terminal.h"
#include "vnvram/key.h"

namespace vnvram {
namespace {

constexpr std::string_view passphrase = "passphrase";

/// Sealed against changes, so that nobody who is given it exchanges it.
Result<UniqueFd> in_memory(const SecretBytes& secret) {
  UniqueFd memory(::memfd_create("vnvram-key", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  const auto size = static_cast<ssize_t>(secret.get().size());
  if (!memory.valid() || ::write(memory.get(), secret.get().data(), secret.get().size()) != size ||
      ::fcntl(memory.get(), F_ADD_SEALS,
              F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0) {
    return Error(ErrorKind::io, "a key cannot be kept in memory", "is there enough of it?");
  }
  return memory;
}

Result<SecretBytes> read(const std::optional<KeyInput>& input, const std::string& image) {
  return input ? read_secret(*input, format::holder_key_max_bytes)
               : ask_at_terminal(fmt::format("Passphrase of {}: ", plain_text(image)));
}

} // namespace

Result<HeldKey> HeldKey::hold(const std::string& text, const std::string& image) {
  const Result<KeySource> source = KeySource::parse(text);
  if (!source) {
    return source.error();
  }
  const bool is_passphrase = text.starts_with(passphrase);
  const bool is_asked_for = text == passphrase;
  const std::string_view place =
      is_passphrase && !is_asked_for ? std::string_view(text).substr(passphrase.size() + 1) : text;
  const std::optional<KeyInput> input = parse_key_input(place);
  if (!is_asked_for && (!input || (input->descriptor < 0 && !input->remove))) {
    return HeldKey{.text = text, .descriptor = std::nullopt};
  }
  const Result<SecretBytes> secret = read(input, image);
  if (!secret) {
    return secret.error();
  }
  Result<UniqueFd> memory = in_memory(*secret);
  if (!memory) {
    return memory.error();
  }
  return HeldKey{.text = is_passphrase ? "passphrase:fd:" : "fd:",
                 .descriptor = *std::move(memory)};
}

} // namespace vnvram
