// OwnerClient: an image that the other host of a migration sees as well.
#include "rpc/blob_requests.h"
#include "rpc/owner_client.h"
#include "rpc/owner_link.h"

namespace vnvram {

Status OwnerClient::let_go(const HandOverNumber& number) {
  const Result<OwnerEpoch> epoch = link_->ask<OwnerEpoch>(
      [&](rpc::Owner::Client& owner) { return request_let_go(owner, number); });
  return epoch ? Status() : epoch.error();
}

Status OwnerClient::go_on(const GoOn& from) {
  return link_->ask<void>([&](rpc::Owner::Client& owner) { return request_go_on(owner, from); });
}

} // namespace vnvram
