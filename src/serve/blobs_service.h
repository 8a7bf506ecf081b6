// Blobs of owner.capnp, for one session.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "rpc/owner.capnp.h"
#include "rpc/wire.h"
#include "serve/scope.h"
#include "serve/session_changes.h"
#include "serve/session_parts.h"
#include "serve/watchers.h"
#include "vnvram/store.h"

namespace vnvram {

// Cap'n Proto keeps its servers by their dynamic type and needs no virtual destructor for it.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"
/// A blob that the scope does not name is answered as one that does not exist.
///
/// More than 30 methods: those of the schema's interface, which share what its holder may do.
///
/// Threads: the session's.
class BlobsService : public virtual rpc::Blobs::Server {
public:
  /// The session outlives it.
  BlobsService(SessionParts& session, Scope scope)
      : session_(session), scope_(std::move(scope)), changes_(session, scope_) {}

  /// Counts it.
  DispatchCallResult
  dispatchCall(std::uint64_t interface, std::uint16_t method,
               capnp::CallContext<capnp::AnyPointer, capnp::AnyPointer> context) override {
    ++session_.call_count;
    return rpc::Blobs::Server::dispatchCall(interface, method, context);
  }
  kj::Promise<void> state(StateContext context) override;
  kj::Promise<void> list(ListContext context) override;
  kj::Promise<void> info(InfoContext context) override;
  kj::Promise<void> read(ReadContext context) override;
  kj::Promise<void> change(ChangeContext context) override;
  kj::Promise<void> openLane(OpenLaneContext context) override;
  kj::Promise<void> flush(FlushContext context) override;
  kj::Promise<void> register_(RegisterContext context) override;
  kj::Promise<void> watch(WatchContext context) override;
  kj::Promise<void> narrow(NarrowContext context) override;
  kj::Promise<void> claim(ClaimContext context) override;
  kj::Promise<void> handOver(HandOverContext context) override;
  kj::Promise<void> takeBack(TakeBackContext context) override;
  kj::Promise<void> lookAgain(LookAgainContext context) override;
  kj::Promise<void> letGo(LetGoContext context) override;
  kj::Promise<void> goOn(GoOnContext context) override;

protected:
  /// For reading at one moment at which nothing is deferred: changers wait for as long as it
  /// exists. Errors: those of a commit, absent.
  Result<StoreUse> settled_store();
  /// With the failure, if it is one.
  template <typename Context> void answer(Context& context, const Status& status) {
    if (!status) {
      session_.owner.counters.add_failed_call(status.error().kind());
      write_failure(context.getResults().initFailure(), status.error());
    }
  }
  /// Of the image, as it is or was seen to be.
  Result<ImageState> seen_state();
  SessionParts& session_;
  const Scope scope_;
  SessionChanges changes_;

private:
  /// What the image's seal says, or is going to say, is not for who may only read.
  [[nodiscard]] Status may_change_anything() const;
  [[nodiscard]] Status may_hand_over_image() const;
  Status check_what_is_shared();
  Status check_no_tpm_uses_it();
  /// The image is another host's: changes wait, and what is read was seen.
  [[nodiscard]] bool is_elsewhere() const;
  /// Or has come, and is not ours yet.
  [[nodiscard]] bool is_shared_and_waits() const;
  /// Or is ours, takes changes, and nothing of it was handed over.
  [[nodiscard]] bool is_shared_and_goes_on() const;
  /// So that there is something to be read.
  void see_image();
  /// What was to be read there was overwritten, and it was looked at anew.
  [[nodiscard]] bool sees_anew(const Error& error);
  std::optional<Status> claim(Store& store, const std::vector<std::string>& blobs);
  Status seal_if_due(Store& store);
  /// Nothing: it has to wait.
  std::optional<Status> carry_out(Store& store, const std::vector<NewBlob>& blobs);
  Result<std::vector<std::vector<std::byte>>> read_all_of(capnp::List<rpc::Range>::Reader ranges,
                                                          bool settled);
  void write_news(const Watchers::Heard& heard, rpc::Blobs::WatchResults::Builder to);
};
#pragma GCC diagnostic pop

} // namespace vnvram
