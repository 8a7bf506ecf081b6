#include "tpm/control_service.h"

#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <string_view>
#include <thread>

#include <fmt/core.h>

#include "base/operator_text.h"
#include "convert/swtpm_state_blob.h"
#include "tpm/operators_word.h"

namespace vnvram {
namespace {

constexpr std::uint8_t locality_max = 4;
constexpr std::chrono::milliseconds lock_retry_period{10};
constexpr std::uint32_t lock_retries_max = 300; // As often as QEMU asks for it.

bool only_asks(const ControlRequest& request) {
  switch (request.command) {
  case ControlCommand::get_capability:
  case ControlCommand::get_tpm_established:
  case ControlCommand::get_state_blob:
  case ControlCommand::get_config:
  case ControlCommand::get_info: return true;
  case ControlCommand::set_buffer_size: return request.buffer_bytes == 0;
  default: return false;
  }
}

// Nothing: it can carry commands. Else why not.
std::string_view unfit_for_commands(const UniqueFd& fd) {
  if (!fd.valid()) {
    return "no descriptor came with it, or none was left to take it";
  }
  int type = 0;
  socklen_t size = sizeof(type);
  if (::getsockopt(fd.get(), SOL_SOCKET, SO_TYPE, &type, &size) != 0) {
    return "the descriptor is no socket";
  }
  if (type != SOCK_STREAM) {
    return "the socket is no stream";
  }
  sockaddr_storage peer{};
  size = sizeof(peer);
  if (::getpeername(fd.get(), reinterpret_cast<sockaddr*>(&peer), &size) != 0) {
    return "the socket is not connected";
  }
  return {};
}

} // namespace

bool ControlService::is_refused(const ControlClient& client, const ControlRequest& request) const {
  const bool carries_state = request.command == ControlCommand::get_state_blob ||
                             request.command == ControlCommand::set_state_blob;
  if (client.over_network && carries_state) {
    return true;
  }
  const bool own_locality =
      client.source == CommandSource::server && request.command == ControlCommand::set_locality;
  return controller_ && *controller_ != client.number && !only_asks(request) && !own_locality;
}

std::vector<std::byte> ControlService::handle(ControlClient& client, const ControlRequest& request,
                                              UniqueFd passed) {
  if (request.command != ControlCommand::get_state_blob) {
    client.blob_type.reset();
    client.blob = {};
  }
  if (is_refused(client, request)) {
    log_.debug(
        fmt::format("client {}: {} refused", client.number, control_command_name(request.command)));
    return encode_result(request.command, tpm_disabled_command);
  }
  switch (request.command) {
  case ControlCommand::get_capability: return capability();
  case ControlCommand::get_tpm_established: return established(client);
  case ControlCommand::get_state_blob: return state_blob(client, request);
  case ControlCommand::set_buffer_size: return buffer_size(request);
  case ControlCommand::get_info: return info(request);
  case ControlCommand::get_config: return config();
  default: break;
  }
  if (request.command != ControlCommand::lock_storage) {
    handed_over_.reset(); // Whatever it does, the next state that goes out has it.
  }
  TpmResult result = act(client, request, std::move(passed));
  if (tpm_.has_changes()) {
    const TpmResult kept = keep_changes();
    result = result == tpm_success ? kept : result;
  }
  log_.debug(fmt::format("client {}: {}: result 0x{:x}", client.number,
                         control_command_name(request.command), result));
  return encode_result(request.command, result);
}

// Whoever stores a volatile state may end the process next. QEMU alone cannot be kept waiting.
TpmResult ControlService::keep_changes() {
  if (host_ == nullptr || tpm_.failed()) {
    worker_.wake();
    return tpm_success;
  }
  return host_->settle().ok() ? tpm_success : tpm_fail;
}

TpmResult ControlService::act(ControlClient& client, const ControlRequest& request,
                              UniqueFd passed) {
  switch (request.command) {
  case ControlCommand::init: return host_ != nullptr ? init_on_demand(request) : init(request);
  case ControlCommand::stop:
  case ControlCommand::shutdown: return stop(request.command);
  case ControlCommand::set_locality: return set_locality(client, request.locality);
  case ControlCommand::hash_start: return tpm_.hash_start();
  case ControlCommand::hash_end: return tpm_.hash_end();
  case ControlCommand::cancel_tpm_command: return tpm_.cancel();
  case ControlCommand::store_volatile: return store_volatile();
  case ControlCommand::reset_tpm_established: return reset_established(request.locality);
  case ControlCommand::set_data_fd: return set_data_fd(client, std::move(passed));
  case ControlCommand::lock_storage: return lock_storage(request.retry_count);
  default: return tpm_bad_ordinal;
  }
}

// What goes out, or has gone, is not stored here as well.
TpmResult ControlService::store_volatile() {
  if (host_ != nullptr && !custody_.is_ours()) {
    log_.error("CMD_STORE_VOLATILE is refused: the state was handed over");
    return tpm_fail;
  }
  return tpm_.store_volatile();
}

TpmResult ControlService::stop(ControlCommand command) {
  tpm_.stop([this] { return may_shut_down(); });
  note_shutdown();
  worker_.wake(); // One that is off answers what waits for a drive, or was held.
  if (host_ == nullptr) {
    return tpm_success;
  }
  const Status settled = host_->settle();
  if (command == ControlCommand::shutdown) {
    host_->was_shut_down();
  }
  return settled.ok() ? tpm_success : tpm_fail;
}

// Again as often, and as long after each other, as swtpm does it while someone else has it.
TpmResult ControlService::open_storage(ControlHost::Purpose purpose, std::uint32_t retry_count) {
  if (host_ == nullptr) {
    return tpm_success;
  }
  Status opened = host_->open(purpose);
  for (std::uint32_t retries = std::min(retry_count, lock_retries_max);
       retries > 0 && !opened.ok() && opened.error().kind() == ErrorKind::in_use; --retries) {
    std::this_thread::sleep_for(lock_retry_period);
    opened = host_->open(purpose);
  }
  if (!opened.ok()) {
    log_.error(operator_text(opened.error()));
  }
  return opened.ok() ? tpm_success : tpm_fail;
}

TpmResult ControlService::init_on_demand(const ControlRequest& request) {
  if (const TpmResult opened = open_storage(ControlHost::Purpose::power_on);
      opened != tpm_success) {
    tpm_.stop();
    return opened;
  }
  if (custody_.state() == Custody::State::gone && !tpm_.has_state_from_elsewhere()) {
    log_.error(fmt::format(
        "the TPM is not powered on: its image is sealed, because its state was handed over; {}",
        operators_word));
    tpm_.stop();
    host_->power_on_failed();
    return tpm_fail;
  }
  const bool delete_volatile = (request.flags & control_init_delete_volatile) != 0;
  const Status started = power_on(delete_volatile);
  const Status settled = host_->settle();
  if (started.ok() && settled.ok()) {
    note_power_on(delete_volatile); // From here on the image is this TPM's.
    return tpm_success;
  }
  if (started.ok()) {
    log_.error("the TPM is not powered on: " + operator_text(settled.error()));
  }
  tpm_.stop();
  host_->power_on_failed();
  return tpm_fail;
}

TpmResult ControlService::init(const ControlRequest& request) {
  const bool delete_volatile = (request.flags & control_init_delete_volatile) != 0;
  if (power_on(delete_volatile).ok()) {
    note_power_on(delete_volatile);
  }
  // QEMU ends at a refused INIT. A guest can live with a TPM in failure mode.
  return tpm_success;
}

Status ControlService::power_on(bool delete_volatile) {
  custody_.power_on_begins();
  Status started = tpm_.initialise(delete_volatile, [this] { return may_shut_down(); });
  note_shutdown();
  if (!started.ok()) {
    log_.error("the TPM is in failure mode: " + operator_text(started.error()));
  }
  custody_.powered_on(tpm_.last_init_restored());
  worker_.wake();
  return started;
}

void ControlService::note_power_on(bool delete_volatile) const {
  log_.info(delete_volatile ? "the TPM is powered on, with its volatile state if there was one"
                            : "the TPM is powered on");
  if (!tpm_.has_state()) {
    log_.info("the TPM's state comes with its image: commands wait until one is attached");
  }
}

// A TPM that is held is to stay as it is, whatever becomes of its power.
bool ControlService::may_shut_down() const {
  return !worker_.is_held() && custody_.may_shut_down();
}

void ControlService::note_shutdown() const {
  if (tpm_.was_shut_down()) {
    log_.info("the TPM was sent TPM2_Shutdown, because its guest has not done so");
  }
}

// QEMU says that its machine goes on here, after a snapshot or a migration that did not come about.
TpmResult ControlService::lock_storage(std::uint32_t retry_count) {
  const bool hands_over = host_ != nullptr && host_->hands_image_over();
  if (hands_over && custody_.state() == Custody::State::gone && !may_come_back_) {
    log_.error(fmt::format("CMD_LOCK_STORAGE is refused: it was not this controller's machine that "
                           "was handed over; {}",
                           operators_word));
    return tpm_fail;
  }
  const TpmResult opened = open_storage(ControlHost::Purpose::go_on, retry_count);
  if (opened != tpm_success) {
    if (hands_over) {
      custody_.controller_gone(); // Or its commands would wait for what nobody says.
      worker_.wake();
    }
    return opened;
  }
  const bool comes_back = hands_over && !custody_.is_ours();
  comes_back ? custody_.take_over() : custody_.take_back(); // Also after one that was refused.
  handed_over_.reset();
  may_come_back_ = false;
  worker_.wake();
  return tpm_success;
}

TpmResult ControlService::set_data_fd(const ControlClient& client, UniqueFd socket) {
  if (client.over_network) {
    return tpm_disabled_command;
  }
  if (const std::string_view why = unfit_for_commands(socket); !why.empty()) {
    log_.warning(fmt::format("client {}: CMD_SET_DATAFD refused: {}", client.number, why));
    return tpm_bad_parameter;
  }
  if (!custody_.has_image()) {
    tpm_.stop(); // Whoever powered it on is gone, and its drive too.
  }
  worker_.set_vm_socket(std::move(socket));
  worker_.set_locality(CommandSource::vm, 0);
  controller_ = client.number;
  log_.info(fmt::format("client {} is the TPM's controller", client.number));
  return tpm_success;
}

TpmResult ControlService::set_locality(const ControlClient& client, std::uint8_t locality) {
  if (locality > (host_ != nullptr ? host_->locality_max() : locality_max)) {
    return tpm_bad_locality;
  }
  // The controller's is that of the machine's commands, whichever socket it came by.
  worker_.set_locality(is_controller(client) ? CommandSource::vm : client.source, locality);
  return tpm_success;
}

TpmResult ControlService::reset_established(std::uint8_t locality) {
  return locality > locality_max ? tpm_bad_locality : tpm_.reset_established(locality);
}

std::vector<std::byte> ControlService::capability() const {
  std::uint64_t bits = control_capabilities_commands | control_capability_lock_storage;
  if (tpm_.version() == TpmVersion::tpm2_0) {
    bits |= control_capability_command_header;
  }
  return encode_capability(bits);
}

std::vector<std::byte> ControlService::config() const {
  return encode_config((keys().state != nullptr ? control_config_state_key : 0) |
                       (keys().migration != nullptr ? control_config_migration_key : 0));
}

std::vector<std::byte> ControlService::info(const ControlRequest& request) {
  const std::string text = tpm_.info(request.info_flags);
  return request.offset_bytes < text.size() ? encode_info(text, request.offset_bytes)
                                            : encode_result(request.command, tpm_bad_parameter);
}

std::vector<std::byte> ControlService::established(const ControlClient& client) {
  bool bit = false;
  const TpmResult result = tpm_.established(bit);
  if (result == tpm_bad_ordinal) {
    // It does not run. swtpm's answer is the bare result, for which every QEMU would wait for ever.
    return is_controller(client) ? encode_established(false) : encode_bare_result(result);
  }
  return result == tpm_success ? encode_established(bit)
                               : encode_result(ControlCommand::get_tpm_established, result);
}

std::vector<std::byte> ControlService::buffer_size(const ControlRequest& request) {
  BufferSize size;
  const TpmResult result = tpm_.set_buffer_size(request.buffer_bytes, size);
  return result == tpm_success ? encode_buffer_size(size.size_bytes, size.min_bytes, size.max_bytes)
                               : encode_result(ControlCommand::set_buffer_size, result);
}

void ControlService::client_gone(const ControlClient& client) {
  if (controller_ == client.number) {
    controller_.reset();
    handed_over_.reset();
    may_come_back_ = false;
    custody_.controller_gone();
    worker_.set_vm_socket(UniqueFd());
    log_.info(fmt::format("client {}, the TPM's controller, has disconnected", client.number));
  }
  if (host_ != nullptr) {
    host_->client_was_lost();
  }
}

} // namespace vnvram
