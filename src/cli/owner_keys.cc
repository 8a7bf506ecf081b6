#include "cli/owner_keys.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "base/unique_fd.h"
#include "cli/owner_socket.h"
#include "cli/progress.h"
#include "vnvram/key_offer.h"

namespace vnvram::cli {
namespace {

/// Has `send(client, offer)` send what the slot's source comes to, for this owner's eyes only: for
/// one more or, with a number, in place of that.
template <typename Send>
Result<KeySlotInfo> offer_to_owner(const std::string& owner, std::optional<unsigned> number,
                                   const NewKeySlot& slot, const Send& send) {
  const auto client = connect_owner(owner);
  const auto receiver = client ? (*client)->receive_key_slot(number) : client.error();
  const auto offer = receiver ? offer_key_slot(slot, owner, *receiver) : receiver.error();
  return offer ? send(**client, *offer) : offer.error();
}

/// Shows how far an owner's exchange of the data key has come, for as long as it exists: by a
/// session of its own, since the one that has asked for it waits. Who cannot be asked shows
/// nothing, and who does not answer holds nobody up: the session ends with this.
class ShownExchange {
public:
  explicit ShownExchange(const std::string& owner) {
    Result<UniqueFd> socket =
        progress_.has_terminal() ? connect_socket(owner) : Result<UniqueFd>(UniqueFd());
    if (socket) {
      socket_ = UniqueFd(::fcntl(socket->get(), F_DUPFD_CLOEXEC, 3));
    }
    if (socket_.valid()) {
      following_ =
          std::jthread([this, connected = *std::move(socket)](const std::stop_token& stop) mutable {
            follow(std::move(connected), stop);
          });
    }
  }
  ShownExchange(const ShownExchange&) = delete;
  ShownExchange& operator=(const ShownExchange&) = delete;
  ~ShownExchange() {
    if (socket_.valid()) {
      following_.request_stop();
      (void)::shutdown(socket_.get(), SHUT_RDWR);
    }
  }

private:
  static constexpr std::chrono::milliseconds pause{200};

  void follow(UniqueFd socket, const std::stop_token& stop) {
    const auto client = OwnerClient::connect(std::move(socket));
    std::mutex mutex;
    std::condition_variable_any stopped;
    std::unique_lock lock(mutex);
    while (client && !stop.stop_requested()) {
      const Result<OwnerStatus> status = (*client)->status();
      if (!status) {
        return;
      }
      if (status->key_exchange) {
        progress_.show(status->key_exchange->done_bytes, status->key_exchange->all_bytes);
      }
      stopped.wait_for(lock, stop, pause, [] { return false; });
    }
  }

  Progress progress_{"rotate"};
  UniqueFd socket_;        ///< The session's, once more.
  std::jthread following_; ///< The last: it uses the other.
};

} // namespace

Result<std::vector<KeySlotInfo>> list_slots_by_owner(const std::string& owner) {
  const auto client = connect_owner(owner);
  return client ? (*client)->key_slots() : client.error();
}

Result<KeySlotInfo> add_slot_by_owner(const std::string& owner, const NewKeySlot& slot) {
  return offer_to_owner(
      owner, std::nullopt, slot,
      [](OwnerClient& client, const KeySlotOffer& offer) { return client.add_key_slot(offer); });
}

Result<KeySlotInfo> change_slot_by_owner(const std::string& owner, unsigned number,
                                         const NewKeySlot& slot) {
  return offer_to_owner(owner, number, slot,
                        [number](OwnerClient& client, const KeySlotOffer& offer) {
                          return client.change_key_slot(number, offer);
                        });
}

Status remove_slot_by_owner(const std::string& owner, unsigned number, bool allow_last) {
  const auto client = connect_owner(owner);
  return client ? (*client)->remove_key_slot(number, allow_last) : Status(client.error());
}

Result<OwnerClient::RotatedSlots> rotate_by_owner(const std::string& owner, bool leave_out_others,
                                                  std::span<const unsigned> without) {
  const auto client = connect_owner(owner);
  if (!client) {
    return client.error();
  }
  const ShownExchange shown(owner);
  return (*client)->rotate_data_key(leave_out_others, without);
}

} // namespace vnvram::cli
