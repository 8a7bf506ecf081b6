// Between the messages of owner.capnp and the values that they stand for.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <capnp/blob.h>

#include "client/image_state.h"
#include "client/moment.h"
#include "client/owner_event.h"
#include "rpc/failure.capnp.h"
#include "rpc/owner.capnp.h"
#include "vnvram/blob.h"
#include "vnvram/error.h"
#include "vnvram/result.h"
#include "vnvram/store.h"
#include "vnvram/transaction.h"

namespace vnvram {

/// No message is longer: a blob of the largest size, and what is around it.
inline constexpr std::size_t message_size_max_bytes = blob_size_max_bytes + (std::size_t{1} << 20U);

[[nodiscard]] inline std::string to_string(capnp::Text::Reader text) {
  return {text.cStr(), text.size()};
}
[[nodiscard]] inline std::span<const std::byte> to_span(capnp::Data::Reader data) {
  return std::as_bytes(std::span(data.begin(), data.size()));
}
[[nodiscard]] inline capnp::Data::Reader to_data(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const kj::byte*>(bytes.data()), bytes.size()};
}

void write_failure(rpc::Failure::Builder to, const Error& error);
/// A newer peer may name a kind that we do not know: io.
[[nodiscard]] Error read_failure(rpc::Failure::Reader from);

/// Of an answer that says nothing else.
template <typename Answer> [[nodiscard]] Status take_status(Answer&& answer) {
  return answer.hasFailure() ? Status(read_failure(answer.getFailure())) : Status();
}

void write_event(rpc::Event::Builder to, const OwnerEvent& event);
/// None: of a kind that we do not know.
[[nodiscard]] std::optional<OwnerEvent> read_event(rpc::Event::Reader from);

void write_state(rpc::ImageState::Builder to, const ImageState& state);
[[nodiscard]] ImageState read_state(rpc::ImageState::Reader from);

void write_image_info(rpc::ImageInfo::Builder to, const StoreInfo& info);
[[nodiscard]] StoreInfo read_image_info(rpc::ImageInfo::Reader from);
void write_report(rpc::CheckReport::Builder to, const CheckReport& report);
[[nodiscard]] CheckReport read_report(rpc::CheckReport::Reader from);
void write_moment(rpc::Moment::Builder to, const Moment& moment);
[[nodiscard]] Moment read_moment(rpc::Moment::Reader from);

void write_spec(rpc::BlobSpec::Builder to, const BlobSpec& spec);
[[nodiscard]] BlobSpec read_spec(rpc::BlobSpec::Reader from);
void write_info(rpc::BlobInfo::Builder to, const BlobInfo& info);
[[nodiscard]] BlobInfo read_info(rpc::BlobInfo::Reader from);

void write_updates(capnp::List<rpc::Update>::Builder to, const Transaction& transaction);
/// The transaction borrows the message's bytes. Errors: unsupported (an update that only a newer
/// version knows).
[[nodiscard]] Result<Transaction> read_updates(capnp::List<rpc::Update>::Reader from);

} // namespace vnvram
