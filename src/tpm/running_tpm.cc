#include "tpm/running_tpm.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <fmt/core.h>
#include <kj/exception.h>
#include <kj/io.h>

#include "rpc/running_tpm.capnp.h"
#include "rpc/wire.h"

namespace vnvram {
namespace {

constexpr std::uint32_t our_version = 1;
constexpr std::uint8_t locality_max = 4;
constexpr std::size_t word_bytes = sizeof(capnp::word);
// Of all that is no content.
constexpr std::size_t structure_max_bytes = std::size_t{1} << 16U;

Error wrong(const std::string& what) {
  return {ErrorKind::invalid_argument, "what the running TPM has said of itself is wrong: " + what};
}

// ---- Writing

std::size_t content_size_bytes(const RunningTpm& tpm) {
  std::size_t size_bytes = tpm.state.volatile_state.get().size();
  for (const auto& content : tpm.state.coming) {
    size_bytes += content ? content->get().size() : 0;
  }
  for (const RunningTpm::Client& client : tpm.clients) {
    size_bytes += client.blob.get().size();
  }
  return size_bytes + (tpm.machine ? tpm.machine->unread.size() + tpm.machine->unsent.size() : 0);
}

rpc::Custody custody_of(Custody::State state) {
  switch (state) {
  case Custody::State::ours: return rpc::Custody::OURS;
  case Custody::State::handed_over: return rpc::Custody::HANDED_OVER;
  case Custody::State::gone: return rpc::Custody::GONE;
  }
  return rpc::Custody::GONE;
}

void write_state(rpc::RunningTpm::Builder to, const RunningState& state) {
  switch (state.power) {
  case RunningState::Power::off: to.setPower(rpc::RunningTpm::Power::OFF); break;
  case RunningState::Power::on: to.setPower(rpc::RunningTpm::Power::ON); break;
  case RunningState::Power::refused: to.setPower(rpc::RunningTpm::Power::REFUSED); break;
  }
  to.setVolatileState(to_data(state.volatile_state.get()));
  const auto count = std::count_if(state.coming.begin(), state.coming.end(),
                                   [](const auto& content) { return content.has_value(); });
  auto coming = to.initComing(static_cast<unsigned>(count));
  unsigned index = 0;
  for (std::size_t each = 0; each < tpm_state_count; ++each) {
    if (state.coming.at(each)) {
      coming[index].setState(static_cast<std::uint8_t>(each));
      coming[index++].setContent(to_data(state.coming.at(each)->get()));
    }
  }
  to.setUntouched(state.is_untouched);
  to.setBufferSizeBytes(state.buffer_size_bytes);
  if (state.shutdown) {
    auto shutdown = to.initShutdown();
    shutdown.setKeepsState(state.shutdown->keeps_state);
    shutdown.setStands(state.shutdown->stands);
  }
}

void write_client(rpc::RunningTpm::ControlClient::Builder to, const RunningTpm::Client& client) {
  to.setNumber(client.number);
  to.setPaddingPossible(client.rest.padding_possible);
  to.setUnread(to_data(client.rest.unread));
  if (client.blob_type) {
    auto reads = to.initReads();
    reads.setType(*client.blob_type);
    reads.setContent(to_data(client.blob.get()));
  }
}

void write_all(rpc::RunningTpm::Builder to, const RunningTpm& tpm) {
  to.setUnderstoodBy(our_version);
  to.setTpmVersion(tpm.version == TpmVersion::tpm2_0 ? "2.0" : "1.2");
  to.setImageUuid(to_data(tpm.image_uuid));
  auto generations = to.initGenerations(tpm_state_count);
  for (unsigned each = 0; each < tpm_state_count; ++each) {
    generations.set(each, tpm.generations.at(each));
  }
  write_state(to, tpm.state);
  to.setCustody(custody_of(tpm.standing.state));
  to.setCopied(tpm.standing.copied);
  to.setMustLook(tpm.standing.must_look);
  to.setMachineLocality(tpm.machine_locality);
  to.setNextClient(tpm.next_client);
  to.setController(tpm.controller.value_or(0));
  auto clients = to.initClients(static_cast<unsigned>(tpm.clients.size()));
  for (unsigned index = 0; index < clients.size(); ++index) {
    write_client(clients[index], tpm.clients[index]);
  }
  if (tpm.machine) {
    auto machine = to.initMachine();
    machine.setUnread(to_data(tpm.machine->unread));
    machine.setDiscardBytes(tpm.machine->discard_bytes);
    machine.setUnsent(to_data(tpm.machine->unsent));
  }
}

// ---- Reading

std::vector<std::byte> to_bytes(capnp::Data::Reader data) {
  const auto bytes = to_span(data);
  return {bytes.begin(), bytes.end()};
}

Status read_state(rpc::RunningTpm::Reader from, RunningState& state) {
  switch (from.getPower()) {
  case rpc::RunningTpm::Power::OFF: state.power = RunningState::Power::off; break;
  case rpc::RunningTpm::Power::ON: state.power = RunningState::Power::on; break;
  case rpc::RunningTpm::Power::REFUSED: state.power = RunningState::Power::refused; break;
  default: return wrong("its power");
  }
  state.volatile_state = SecretBytes(to_span(from.getVolatileState()));
  if (state.volatile_state.get().empty() == (state.power == RunningState::Power::on)) {
    return wrong("its volatile state");
  }
  for (const auto coming : from.getComing()) {
    if (coming.getState() >= tpm_state_count || coming.getContent().size() > blob_size_max_bytes) {
      return wrong("a state for its next start");
    }
    state.coming.at(coming.getState()).emplace(to_span(coming.getContent()));
  }
  state.is_untouched = from.getUntouched();
  state.buffer_size_bytes = from.getBufferSizeBytes();
  if (from.hasShutdown()) {
    state.shutdown = OrderlyShutdown::Told{.keeps_state = from.getShutdown().getKeepsState(),
                                           .stands = from.getShutdown().getStands()};
  }
  return {};
}

Status read_standing(rpc::RunningTpm::Reader from, Custody::Standing& standing) {
  switch (from.getCustody()) {
  case rpc::Custody::OURS: standing.state = Custody::State::ours; break;
  case rpc::Custody::HANDED_OVER: standing.state = Custody::State::handed_over; break;
  case rpc::Custody::GONE: standing.state = Custody::State::gone; break;
  default: return wrong("whose state it is");
  }
  standing.copied = from.getCopied();
  standing.must_look = from.getMustLook();
  return {};
}

Status read_clients(rpc::RunningTpm::Reader from, RunningTpm& tpm) {
  if (from.getClients().size() > running_tpm_clients_max) {
    return wrong("it has too many clients");
  }
  bool has_controller = false;
  for (const auto client : from.getClients()) {
    RunningTpm::Client read;
    read.number = client.getNumber();
    if (read.number == 0 || read.number >= from.getNextClient()) {
      return wrong("a client's number");
    }
    has_controller = has_controller || read.number == from.getController();
    read.rest = {client.getPaddingPossible(), to_bytes(client.getUnread())};
    if (client.hasReads()) {
      read.blob_type = client.getReads().getType();
      read.blob = SecretBytes(to_span(client.getReads().getContent()));
    }
    tpm.clients.push_back(std::move(read));
  }
  if (from.getController() != 0) {
    tpm.controller = from.getController();
  }
  tpm.next_client = from.getNextClient();
  return tpm.controller && !has_controller ? wrong("its controller is no client") : Status();
}

Result<RunningTpm> read_all(rpc::RunningTpm::Reader from) {
  if (from.getUnderstoodBy() > our_version || from.getUnderstoodBy() == 0) {
    return Error(ErrorKind::unsupported,
                 fmt::format("the TPM that runs is of a vnvram-tpm that this one does not "
                             "understand: it takes version {}, and this is {}",
                             from.getUnderstoodBy(), our_version),
                 "install the one that runs, or a newer one");
  }
  RunningTpm tpm;
  const std::string version = to_string(from.getTpmVersion());
  if (version != "2.0" && version != "1.2") {
    return wrong("its version");
  }
  tpm.version = version == "2.0" ? TpmVersion::tpm2_0 : TpmVersion::tpm1_2;
  const auto uuid = to_span(from.getImageUuid());
  const auto generations = from.getGenerations();
  if (uuid.size() != tpm.image_uuid.size() || generations.size() != tpm_state_count) {
    return wrong("its image");
  }
  std::ranges::copy(uuid, tpm.image_uuid.begin());
  std::copy(generations.begin(), generations.end(), tpm.generations.begin());
  tpm.machine_locality = from.getMachineLocality();
  if (tpm.machine_locality > locality_max) {
    return wrong("the machine's locality");
  }
  if (from.hasMachine()) {
    const auto machine = from.getMachine();
    tpm.machine = CommandConnection::Rest{.unread = to_bytes(machine.getUnread()),
                                          .discard_bytes = machine.getDiscardBytes(),
                                          .unsent = to_bytes(machine.getUnsent())};
  }
  Status read = read_state(from, tpm.state);
  read = read.ok() ? read_standing(from, tpm.standing) : read;
  read = read.ok() ? read_clients(from, tpm) : read;
  return read.ok() ? Result<RunningTpm>(std::move(tpm)) : read.error();
}

} // namespace

SecretBytes write_running_tpm(const RunningTpm& tpm) {
  // The builder clears what it is given when it goes, so that no copy stays.
  std::vector<capnp::word> memory((content_size_bytes(tpm) + structure_max_bytes) / word_bytes);
  capnp::MallocMessageBuilder message(kj::arrayPtr(memory.data(), memory.size()));
  write_all(message.initRoot<rpc::RunningTpm>(), tpm);
  std::vector<std::byte> bytes(capnp::computeSerializedSizeInWords(message) * word_bytes);
  kj::ArrayOutputStream stream(
      kj::arrayPtr(reinterpret_cast<kj::byte*>(bytes.data()), bytes.size()));
  capnp::writeMessage(stream, message);
  return SecretBytes(std::move(bytes));
}

Result<RunningTpm> read_running_tpm(std::span<const std::byte> bytes) {
  if (bytes.empty() || bytes.size() % word_bytes != 0 || bytes.size() > running_tpm_max_bytes) {
    return wrong("its length");
  }
  try {
    const auto words =
        kj::arrayPtr(reinterpret_cast<const capnp::word*>(bytes.data()), bytes.size() / word_bytes);
    capnp::ReaderOptions limits;
    limits.traversalLimitInWords = 2 * words.size(); // What is said twice is a trick.
    capnp::FlatArrayMessageReader message(words, limits);
    return read_all(message.getRoot<rpc::RunningTpm>());
  } catch (const kj::Exception& exception) {
    return wrong(exception.getDescription().cStr());
  }
}

} // namespace vnvram
