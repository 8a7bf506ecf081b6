// Owner of owner.capnp, for one session.
#pragma once

#include <optional>

#include "client/moment.h"
#include "rpc/owner.capnp.h"
#include "serve/blobs_service.h"
#include "vnvram/key_offer.h"

namespace vnvram {

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"
/// Threads: the session's.
class OwnerService final : public virtual rpc::Owner::Server, public BlobsService {
public:
  /// The session outlives it.
  explicit OwnerService(SessionParts& session) : BlobsService(session, Scope::everything()) {}

  DispatchCallResult
  dispatchCall(std::uint64_t interface, std::uint16_t method,
               capnp::CallContext<capnp::AnyPointer, capnp::AnyPointer> context) override {
    ++session_.call_count;
    return rpc::Owner::Server::dispatchCall(interface, method, context);
  }
  kj::Promise<void> status(StatusContext context) override;
  kj::Promise<void> hold(HoldContext context) override;
  kj::Promise<void> release(ReleaseContext context) override;
  kj::Promise<void> remove(RemoveContext context) override;
  kj::Promise<void> restart(RestartContext context) override;
  kj::Promise<void> renewFrontEnds(RenewFrontEndsContext context) override;
  kj::Promise<void> image(ImageContext context) override;
  kj::Promise<void> check(CheckContext context) override;
  kj::Promise<void> changes(ChangesContext context) override;
  kj::Promise<void> readDevice(ReadDeviceContext context) override;
  kj::Promise<void> metrics(MetricsContext context) override;
  kj::Promise<void> metadata(MetadataContext context) override;
  kj::Promise<void> changeMetadata(ChangeMetadataContext context) override;
  kj::Promise<void> rotateDataKey(RotateDataKeyContext context) override;
  kj::Promise<void> keySlots(KeySlotsContext context) override;
  kj::Promise<void> receiveKeySlot(ReceiveKeySlotContext context) override;
  kj::Promise<void> addKeySlot(AddKeySlotContext context) override;
  kj::Promise<void> changeKeySlot(ChangeKeySlotContext context) override;
  kj::Promise<void> removeKeySlot(RemoveKeySlotContext context) override;
  kj::Promise<void> written(WrittenContext context) override;
  kj::Promise<void> sealedSuperblocks(SealedSuperblocksContext context) override;
  kj::Promise<void> leave(LeaveContext context) override;

private:
  Result<Moment> moment_since(std::uint64_t after, std::uint64_t content_max_bytes);
  /// Has `take(offer, receiver)` make a slot, by the receiver that there is, which goes with that.
  template <typename Take>
  Result<KeySlotInfo> take_offer(rpc::KeySlotOffer::Reader asked, const Take& take);

  std::optional<KeyOfferReceiver> receiver_;
};
#pragma GCC diagnostic pop

} // namespace vnvram
