// Blobs of owner.capnp, for one session.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "client/local_blob_client.h"
#include "rpc/owner.capnp.h"
#include "rpc/wire.h"
#include "serve/change_queue.h"
#include "serve/owner_parts.h"
#include "serve/scope.h"
#include "serve/watchers.h"
#include "vnvram/store.h"

namespace vnvram {

/// What the capabilities of a session have in common, narrowed ones included.
struct SessionParts {
  explicit SessionParts(const OwnerParts& of_owner, std::uint64_t session)
      : owner(of_owner), number(session), client(of_owner.keeper), changes(of_owner.keeper),
        watchers(of_owner.events, of_owner.image) {}

  const OwnerParts& owner;
  const std::uint64_t number;
  LocalBlobClient client; ///< Reads.
  ChangeQueue changes;
  Watchers watchers;
  std::uint64_t call_count = 0; ///< That have come.
  /// Capabilities that were made by narrow(). Some may outlive this.
  std::shared_ptr<std::size_t> narrowed_count = std::make_shared<std::size_t>(0);
};

// Cap'n Proto keeps its servers by their dynamic type and needs no virtual destructor for it.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"
/// A blob that the scope does not name is answered as one that does not exist.
///
/// Threads: the session's.
class BlobsService : public virtual rpc::Blobs::Server {
public:
  /// The session outlives it.
  BlobsService(SessionParts& session, Scope scope) : session_(session), scope_(std::move(scope)) {}

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
  kj::Promise<void> flush(FlushContext context) override;
  kj::Promise<void> register_(RegisterContext context) override;
  kj::Promise<void> watch(WatchContext context) override;
  kj::Promise<void> narrow(NarrowContext context) override;
  kj::Promise<void> claim(ClaimContext context) override;
  kj::Promise<void> handOver(HandOverContext context) override;
  kj::Promise<void> takeBack(TakeBackContext context) override;
  kj::Promise<void> lookAgain(LookAgainContext context) override;

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
  /// The right to write these blobs. Nothing: it has to be waited for, because who has it is about
  /// to end. Errors: in_use.
  enum class Right { these_too, only_these };
  std::optional<Status> take_right_to(const std::vector<std::string>& blobs,
                                      Right right = Right::these_too);
  /// Of those that it has the right to: nobody writes what is not there.
  void give_up_absent(const Store& store, const std::vector<std::string>& blobs);

  SessionParts& session_;

private:
  [[nodiscard]] Status allows(const Transaction& transaction) const;
  /// What the image's seal says, or is going to say, is not for who may only read.
  [[nodiscard]] Status may_change_anything() const;
  std::optional<Status> claim(Store& store, const std::vector<std::string>& blobs);
  Status seal_if_due(Store& store);
  /// A machine that has come runs here: its image is not sealed any more. False: it is.
  bool lifts_seal(Store& store);
  /// Nothing: it has to wait.
  std::optional<Status> carry_out(Store& store, const Transaction& transaction, bool deferred);
  std::optional<Status> carry_out(Store& store, const std::vector<NewBlob>& blobs);
  Result<std::vector<std::vector<std::byte>>> read_all_of(capnp::List<rpc::Range>::Reader ranges,
                                                          bool settled);
  void write_news(const Watchers::Heard& heard, rpc::Blobs::WatchResults::Builder to);

  const Scope scope_;
};
#pragma GCC diagnostic pop

} // namespace vnvram
