// ControlService: state that goes out, and state that comes.
#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/core.h>

#include "base/operator_text.h"
#include "convert/swtpm_state_blob.h"
#include "tpm/control_service.h"

namespace vnvram {
namespace {

std::optional<TpmState> state_of(std::uint32_t blob_type) {
  if (blob_type < 1 || blob_type > tpm_state_count) {
    return std::nullopt;
  }
  return static_cast<TpmState>(blob_type - 1);
}

} // namespace

std::vector<std::byte> ControlService::state_blob(ControlClient& client,
                                                  const ControlRequest& request) {
  const auto state = state_of(request.blob_type);
  if (!state) {
    return encode_result(request.command, tpm_bad_parameter);
  }
  // A client that reads on gets the rest of the blob that it began to read.
  if (request.offset_bytes == 0 || client.blob_type != request.blob_type) {
    client.blob_type.reset();
    // First: the state that goes must have all that was acknowledged.
    const bool handed_over =
        *state == TpmState::permanent && controller_ == client.number && custody_.hand_over();
    if (*state == TpmState::permanent && (!controller_ || controller_ == client.number)) {
      custody_.note_copy();
    }
    std::vector<std::byte> content;
    TpmResult result = tpm_success;
    if (*state == TpmState::permanent && controller_ == client.number && host_ != nullptr &&
        host_->hands_image_over()) {
      result = hand_over(handed_over);
    }
    result = result == tpm_success ? state_for(client, *state, content) : result;
    if (result != tpm_success) {
      if (handed_over || controller_ == client.number) {
        custody_.take_back(); // QEMU has not got all of it, and does not say that it goes on.
      }
      worker_.wake();
      return encode_result(request.command, result);
    }
    if (const Status wrapped = wrap_state(client, request, content); !wrapped.ok()) {
      log_.error("the state does not go out: " + operator_text(wrapped.error()));
      worker_.wake();
      return encode_result(request.command, tpm_fail);
    }
    client.blob_type = request.blob_type;
    worker_.wake();
  }
  note_fetched(client, request);
  return encode_state_blob(client.blob, request.offset_bytes,
                           client.blob_is_encrypted ? control_state_encrypted : 0);
}

// `anew`: the TPM may have run since the last time. Else nothing is new, and nobody goes on twice
// from one hand-over: it is the same one.
TpmResult ControlService::hand_over(bool anew) {
  if (custody_.state() != Custody::State::handed_over || (!anew && handed_over_)) {
    return tpm_success;
  }
  HandedOverStates states;
  if (const TpmResult taken = states.take(tpm_); taken != tpm_success) {
    return taken;
  }
  const Result<HandOverNumber> number = states.number();
  const Status done = number.ok() ? host_->hand_over(*number) : Status(number.error());
  if (!done.ok()) {
    log_.error("the state does not go out: " + operator_text(done.error()));
    return tpm_fail;
  }
  handed_over_ = std::move(states);
  may_come_back_ = true;
  return tpm_success;
}

TpmResult ControlService::state_for(const ControlClient& client, TpmState state,
                                    std::vector<std::byte>& content) {
  if (handed_over_ && controller_ == client.number && !custody_.is_ours()) {
    content = handed_over_->of(state);
    return tpm_success;
  }
  return tpm_.get_state(state, content);
}

// With the key of the place that it comes from, unless it is wanted without.
Status ControlService::wrap_state(ControlClient& client, const ControlRequest& request,
                                  const std::vector<std::byte>& state) const {
  SwtpmStateBlob::Keys with = keys();
  if ((request.flags & control_state_decrypted) != 0) {
    with.state = nullptr;
  }
  Result<std::vector<std::byte>> wrapped = SwtpmStateBlob::wrap(state, with);
  if (!wrapped.ok()) {
    return wrapped.error();
  }
  client.blob = *std::move(wrapped);
  client.blob_is_encrypted = with.state != nullptr && !state.empty();
  return {};
}

// All clients take a blob from some offset to its end, and QEMU the three in this order.
void ControlService::note_fetched(const ControlClient& client,
                                  const ControlRequest& request) const {
  if (host_ != nullptr && state_of(request.blob_type) == TpmState::save_state &&
      (!controller_ || controller_ == client.number)) {
    host_->state_was_fetched();
  }
}

TpmResult ControlService::check_body(const ControlClient& client, const ControlRequest& request) {
  if (is_refused(client, request)) {
    return tpm_disabled_command;
  }
  if (request.command != ControlCommand::set_state_blob) {
    return tpm_success;
  }
  if (!state_of(request.blob_type)) {
    return tpm_bad_parameter;
  }
  if ((request.flags & control_state_encrypted) != 0 && keys().state == nullptr) {
    log_.warning(
        fmt::format("refused state blob {}: swtpm has encrypted it with its state's key, and "
                    "there is no key here",
                    request.blob_type));
    return tpm_key_not_found;
  }
  if (const TpmResult opened = open_storage(ControlHost::Purpose::set_state);
      opened != tpm_success) {
    return opened;
  }
  // What is around it is not part of the state.
  constexpr auto wrapping_bytes = std::uint32_t{SwtpmStateBlob::wrapping_max_bytes};
  return check_size(request, request.length_bytes - std::min(request.length_bytes, wrapping_bytes));
}

// Said before anything of the state that is here is given up.
TpmResult ControlService::check_size(const ControlRequest& request,
                                     std::uint64_t size_bytes) const {
  const TpmState state = *state_of(request.blob_type);
  const TpmResult allowed = tpm_.check_set_state(size_bytes);
  if (allowed != tpm_success && allowed != tpm_bad_parameter_size) {
    return allowed;
  }
  TpmStateSizes sizes = tpm_.state_sizes_bytes();
  sizes.at(static_cast<std::size_t>(state)) = size_bytes;
  const Status fits = allowed == tpm_success
                          ? image_.check_room(sizes)
                          : Error(ErrorKind::too_large, "no blob can be as large");
  if (fits.ok()) {
    return tpm_success;
  }
  log_.warning(fmt::format("refused state blob {}, {} bytes: the other side's TPM is larger than "
                           "this one's: {}",
                           request.blob_type, size_bytes, operator_text(fits.error())));
  return tpm_bad_parameter_size;
}

TpmResult ControlService::set_state(const ControlRequest& request,
                                    const std::vector<std::byte>& blob) {
  const auto unwrapped =
      SwtpmStateBlob::unwrap(blob, keys(), (request.flags & control_state_encrypted) != 0);
  const std::vector<std::byte>& state = unwrapped.state.get();
  const std::size_t size_bytes = state.size();
  if (unwrapped.result != tpm_success) {
    log_.warning(fmt::format("refused state blob {}, {} bytes: {}", request.blob_type, blob.size(),
                             unwrapped.reason));
    return unwrapped.result;
  }
  if (const TpmResult fits = check_size(request, size_bytes); fits != tpm_success) {
    return fits;
  }
  const TpmResult result = tpm_.set_state(*state_of(request.blob_type), state);
  if (result == tpm_success) {
    log_.info(fmt::format("took state blob {}, {} bytes, for the next INIT", request.blob_type,
                          size_bytes));
  } else {
    log_.warning(fmt::format("refused state blob {}, {} bytes: {} does not accept it, code 0x{:x}; "
                             "it is damaged, or of a newer libtpms",
                             request.blob_type, size_bytes, libtpms_producer(), result));
  }
  return result;
}

} // namespace vnvram
