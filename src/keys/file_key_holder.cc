#include "keys/file_key_holder.h"

#include <fmt/core.h>

namespace vnvram {

Status FileKeyHolder::read() {
  if (key_) {
    return {};
  }
  Result<SecretBytes> bytes = read_secret(input_, format::holder_key_max_bytes);
  if (!bytes) {
    return bytes.error();
  }
  private_key_ = is_pem(bytes->get());
  if (private_key_) {
    bytes = agreement_key_from_pem(bytes->get());
    if (!bytes) {
      return Error(bytes.error().kind(),
                   fmt::format("{}: {}", input_.name(), bytes.error().cause()),
                   bytes.error().remedy());
    }
  } else if (const Status fits = check_key_size(bytes->get().size(), input_.name()); !fits) {
    return fits;
  }
  key_ = *std::move(bytes);
  return {};
}

Result<std::optional<KeySlotKind>> FileKeyHolder::opens() {
  if (const Status done = read(); !done) {
    return done.error();
  }
  return std::optional(private_key_ ? KeySlotKind::public_key : KeySlotKind::key);
}

Result<std::span<const std::byte>> FileKeyHolder::secret_for(const format::KeySlot& /*slot*/,
                                                             const std::string& /*image*/) {
  if (const Status done = read(); !done) {
    return done.error();
  }
  return std::span<const std::byte>(key_->get());
}

Result<NewHolder> FileKeyHolder::make_new(const std::string& /*image*/) {
  if (const Status done = read(); !done) {
    return done.error();
  }
  if (private_key_) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("{}: holds a private key, and a new slot needs only its public half",
                             input_.name()),
                 "openssl pkey -pubout writes it; it is given by public:PATH");
  }
  return NewHolder{
      .kind = KeySlotKind::key, .secret = key_->get(), .public_key = {}, .public_part = {}};
}

} // namespace vnvram
