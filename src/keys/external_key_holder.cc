#include "keys/external_key_holder.h"

#include <algorithm>

#include "keys/key_command.h"
#include "keys/key_input.h"

namespace vnvram {

Result<std::span<const std::byte>>
ExternalKeyHolder::run(const std::vector<std::byte>& public_part) {
  auto found = std::ranges::find(made_, public_part, &Made::public_part);
  if (found == made_.end()) {
    if (!runs_commands_) {
      return Error(ErrorKind::unsupported,
                   "a key is to come from a command, and this process may start none any more",
                   "give a key by file:PATH or fd:N");
    }
    Result<SecretBytes> key = run_key_command(command_, public_part, format::holder_key_max_bytes);
    if (!key) {
      return key.error();
    }
    if (const Status fits = check_key_size(key->get().size(), "what the command has written");
        !fits) {
      return fits.error();
    }
    made_.push_back({.public_part = public_part, .key = *std::move(key)});
    found = made_.end() - 1;
  }
  return std::span<const std::byte>(found->key.get());
}

Result<std::span<const std::byte>> ExternalKeyHolder::secret_for(const format::KeySlot& slot,
                                                                 const std::string& /*image*/) {
  return run(slot.public_part);
}

bool ExternalKeyHolder::is_at_hand(const format::KeySlot& slot) const {
  return std::ranges::find(made_, slot.public_part, &Made::public_part) != made_.end();
}

Result<NewHolder> ExternalKeyHolder::make_new(const std::string& /*image*/) {
  Result<std::vector<std::byte>> public_part = std::vector<std::byte>();
  if (!public_part_path_.empty()) {
    public_part = read_public_file(public_part_path_, format::key_public_part_max_bytes);
  }
  if (!public_part) {
    return public_part.error();
  }
  const auto key = run(*public_part);
  if (!key) {
    return key.error();
  }
  return NewHolder{.kind = KeySlotKind::external,
                   .secret = *key,
                   .public_key = {},
                   .public_part = *std::move(public_part)};
}

} // namespace vnvram
