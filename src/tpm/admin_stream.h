// A connection to the admin socket.
#pragma once

#include "rpc/message_stream.h"
#include "tpm/admin_clients.h"

namespace vnvram {

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"
/// One of the clients for as long as it exists.
class AdminStream final : public MessageStream {
public:
  /// Timer and clients outlive it.
  AdminStream(kj::Own<kj::AsyncIoStream> inner, kj::Timer& timer,
              std::chrono::milliseconds unfinished_max, AdminClients& clients)
      : MessageStream(kj::mv(inner), timer, unfinished_max), clients_(clients) {
    clients_.add(*this);
  }
  AdminStream(const AdminStream&) = delete;
  AdminStream& operator=(const AdminStream&) = delete;
  ~AdminStream() noexcept(false) { clients_.remove(*this); }

private:
  AdminClients& clients_;
};
#pragma GCC diagnostic pop

} // namespace vnvram
