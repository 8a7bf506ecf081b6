#include "fuzz/owner_messages.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include <capnp/message.h>
#include <capnp/rpc.capnp.h>
#include <capnp/serialize.h>

#include "rpc/lane_frame.h"
#include "rpc/owner.capnp.h"
#include "rpc/wire.h"

namespace vnvram::fuzz {
namespace {

constexpr std::size_t numbers_max = 6; ///< Of questions, and of capabilities.

const char* name(FuzzInput& input) {
  static constexpr std::array names = {"ours", "free", "tpm2.state", "new", "tpm2.", ""};
  return names.at(input.below(names.size()));
}

std::uint64_t place(FuzzInput& input) {
  return input.below(8) == 0 ? input.number64() : input.word();
}

void set(rpc::Range::Builder range, FuzzInput& input) {
  range.setBlob(name(input));
  if (input.below(2) == 0) {
    range.setWhole();
  } else {
    auto part = range.initPart();
    part.setOffsetBytes(place(input));
    part.setLengthBytes(place(input));
  }
}

void set(rpc::Update::Builder update, FuzzInput& input) {
  update.setBlob(name(input));
  switch (input.below(4)) {
  case 0: update.setWrite(to_data(input.bytes(input.below(64)))); break;
  case 1: {
    auto range = update.initWriteRange();
    range.setOffsetBytes(place(input));
    range.setBytes(to_data(input.bytes(input.below(64))));
    break;
  }
  case 2: {
    auto range = update.initZeroRange();
    range.setOffsetBytes(place(input));
    range.setLengthBytes(place(input));
    break;
  }
  default: update.setSetSize(place(input)); break;
  }
}

void set(rpc::NewBlob::Builder blob, FuzzInput& input) {
  auto spec = blob.initSpec();
  spec.setName(name(input));
  spec.setType("test");
  spec.setSizeMaxBytes(place(input));
  if (input.below(4) == 0) {
    auto attribute = spec.initAttributes(1)[0];
    attribute.setName(name(input));
    attribute.setValue(to_data(input.bytes(input.below(16))));
    attribute.setMustKnow(input.below(2) == 0);
  }
  if (input.below(2) == 0) {
    blob.setContent(to_data(input.bytes(input.below(64))));
  }
}

void set(rpc::Grant::Builder grant, FuzzInput& input) {
  const std::uint8_t rights = input.byte();
  if ((rights & 1U) != 0) {
    grant.setBlob(name(input));
  } else {
    grant.setPrefix(name(input));
  }
  grant.setWrite((rights & 2U) != 0);
  grant.setRegister((rights & 4U) != 0);
}

template <typename List> void set_all(List list, FuzzInput& input) {
  for (auto element : list) {
    set(element, input);
  }
}

void ask_blobs(capnp::rpc::Call::Builder call, std::uint16_t method, FuzzInput& input) {
  auto content = call.initParams().getContent();
  const auto count = static_cast<unsigned>(input.below(4));
  switch (method) {
  case 2: content.initAs<rpc::Blobs::InfoParams>().setBlob(name(input)); break;
  case 3: set_all(content.initAs<rpc::Blobs::ReadParams>().initRanges(count), input); break;
  case 4: {
    auto change = content.initAs<rpc::Blobs::ChangeParams>();
    set_all(change.initUpdates(count), input);
    change.setDeferred(input.below(2) == 0);
    break;
  }
  case 6: set_all(content.initAs<rpc::Blobs::RegisterParams>().initBlobs(count), input); break;
  case 7: content.initAs<rpc::Blobs::WatchParams>().setAfter(input.byte()); break;
  case 8: set_all(content.initAs<rpc::Blobs::NarrowParams>().initGrants(count), input); break;
  case 9: {
    auto claimed = content.initAs<rpc::Blobs::ClaimParams>().initBlobs(count);
    for (unsigned index = 0; index < count; ++index) {
      claimed.set(index, name(input));
    }
    break;
  }
  default: break; // Those that ask for nothing, or none that there is.
  }
}

void ask_owner(capnp::rpc::Call::Builder call, std::uint16_t method, FuzzInput& input) {
  auto content = call.initParams().getContent();
  switch (method) {
  case 1: content.initAs<rpc::Owner::HoldParams>().setDurationMs(input.word()); break;
  case 3: content.initAs<rpc::Owner::RemoveParams>().setBlob(name(input)); break;
  default: break; // Those that ask for nothing, or none that there is.
  }
}

std::uint32_t number(FuzzInput& input) {
  return static_cast<std::uint32_t>(input.below(numbers_max));
}

void ask(capnp::rpc::Call::Builder call, FuzzInput& input) {
  call.setQuestionId(number(input));
  if (input.below(2) == 0) {
    call.initTarget().setImportedCap(number(input));
  } else {
    auto answer = call.initTarget().initPromisedAnswer();
    answer.setQuestionId(number(input));
    if (input.below(2) == 0) {
      answer.initTransform(1)[0].setGetPointerField(0);
    }
  }
  const auto method = static_cast<std::uint16_t>(input.below(14));
  call.setMethodId(method);
  if (input.below(4) != 0) {
    call.setInterfaceId(capnp::typeId<rpc::Blobs>());
    ask_blobs(call, method, input);
  } else {
    call.setInterfaceId(capnp::typeId<rpc::Owner>());
    ask_owner(call, method, input);
  }
}

void fill(capnp::rpc::Message::Builder message, FuzzInput& input) {
  switch (input.below(8)) {
  case 0: message.initBootstrap().setQuestionId(number(input)); break;
  case 1: {
    auto finish = message.initFinish();
    finish.setQuestionId(number(input));
    finish.setReleaseResultCaps(input.below(2) == 0);
    break;
  }
  case 2: {
    auto release = message.initRelease();
    release.setId(number(input));
    release.setReferenceCount(static_cast<std::uint32_t>(input.below(3)));
    break;
  }
  default: ask(message.initCall(), input); break;
  }
}

// Most messages are right.
void spoil(std::vector<std::byte>& bytes, std::size_t edits, FuzzInput& input) {
  for (; edits > 0 && edits < 4; --edits) {
    const std::size_t at = input.word() % bytes.size();
    bytes[at] ^= std::byte{input.byte()};
  }
}

} // namespace

std::vector<std::byte> owner_message(FuzzInput& input) {
  const std::size_t edits = input.below(16);
  capnp::MallocMessageBuilder message;
  fill(message.initRoot<capnp::rpc::Message>(), input);
  const auto words = capnp::messageToFlatArray(message);
  const auto said = std::as_bytes(std::span(words.begin(), words.size()));
  std::vector<std::byte> bytes(said.begin(), said.end());
  spoil(bytes, edits, input);
  return bytes;
}

std::vector<std::byte> lane_message(FuzzInput& input) {
  const std::size_t edits = input.below(16);
  capnp::MallocMessageBuilder message;
  auto change = message.initRoot<rpc::LaneChange>();
  change.setNumber(input.byte());
  change.setDeferred(input.below(2) == 0);
  set_all(change.initUpdates(static_cast<unsigned>(input.below(4))), input);
  const auto segment = message.getSegmentsForOutput()[0];
  const auto header = make_lane_frame_header(static_cast<std::uint32_t>(segment.size()));
  const auto said = std::as_bytes(std::span(segment.begin(), segment.size()));
  std::vector<std::byte> bytes(header.size() + said.size());
  std::ranges::copy(header, bytes.begin());
  std::ranges::copy(said, bytes.begin() + header.size());
  spoil(bytes, edits, input);
  return bytes;
}

} // namespace vnvram::fuzz
