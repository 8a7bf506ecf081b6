#include "rpc/wire.h"

#include <algorithm>

#include "base/exit_code.h"

namespace vnvram {
namespace {

ErrorKind kind_of(std::uint16_t code) {
  for (int kind = 0; kind <= static_cast<int>(ErrorKind::not_at_anchor); ++kind) {
    if (static_cast<int>(exit_code(static_cast<ErrorKind>(kind))) == code) {
      return static_cast<ErrorKind>(kind);
    }
  }
  return ErrorKind::io;
}

} // namespace

void write_failure(rpc::Failure::Builder to, const Error& error) {
  to.setKind(static_cast<std::uint16_t>(exit_code(error.kind())));
  to.setCause(error.cause());
  to.setRemedy(error.remedy());
}

Error read_failure(rpc::Failure::Reader from) {
  return {kind_of(from.getKind()), to_string(from.getCause()), to_string(from.getRemedy())};
}

void write_event(rpc::Event::Builder to, const OwnerEvent& event) {
  if (const auto* failure = std::get_if<Error>(&event)) {
    write_failure(to.initFailure(), *failure);
  } else if (const auto* reached = std::get_if<GenerationReached>(&event)) {
    to.setGeneration(reached->generation);
  } else if (const auto* seal = std::get_if<SealChanged>(&event)) {
    if (seal->sealed) {
      to.setSealed();
    } else {
      to.setUnsealed();
    }
  } else if (const auto* full = std::get_if<NearlyFull>(&event)) {
    auto written = to.initNearlyFull();
    if (!full->blob.empty()) {
      written.setBlob(full->blob);
    }
    written.setUsedBytes(full->used_bytes);
    written.setSizeBytes(full->size_bytes);
    written.setForecast(full->forecast);
  }
}

std::optional<OwnerEvent> read_event(rpc::Event::Reader from) {
  switch (from.which()) {
  case rpc::Event::FAILURE: return read_failure(from.getFailure());
  case rpc::Event::GENERATION: return GenerationReached{from.getGeneration()};
  case rpc::Event::SEALED: return SealChanged{true};
  case rpc::Event::UNSEALED: return SealChanged{false};
  case rpc::Event::NEARLY_FULL: {
    const auto full = from.getNearlyFull();
    return NearlyFull{.blob = to_string(full.getBlob()),
                      .used_bytes = full.getUsedBytes(),
                      .size_bytes = full.getSizeBytes(),
                      .forecast = to_string(full.getForecast())};
  }
  case rpc::Event::NONE: break;
  }
  return std::nullopt;
}

void write_state(rpc::ImageState::Builder to, const ImageState& state) {
  to.setUuid(to_data(state.uuid));
  to.setGeneration(state.generation);
  to.setSealed(state.sealed);
  to.setContentMayChange(state.content_may_change);
  to.setSpaceFreeBytes(state.space_free_bytes);
  to.setBlobSizeMaxBytes(state.blob_size_max_bytes);
  to.setEncrypted(state.encrypted);
  to.setElsewhere(state.elsewhere);
}

ImageState read_state(rpc::ImageState::Reader from) {
  ImageState state{.generation = from.getGeneration(),
                   .sealed = from.getSealed(),
                   .content_may_change = from.getContentMayChange(),
                   .space_free_bytes = from.getSpaceFreeBytes(),
                   .blob_size_max_bytes = from.getBlobSizeMaxBytes(),
                   .encrypted = from.getEncrypted(),
                   .elsewhere = from.getElsewhere()};
  const std::span<const std::byte> uuid = to_span(from.getUuid());
  std::copy_n(uuid.begin(), std::min(uuid.size(), state.uuid.size()), state.uuid.begin());
  return state;
}

void write_image_info(rpc::ImageInfo::Builder to, const StoreInfo& info) {
  write_state(to.initState(), image_state(info));
  to.setFormatVersion(info.format_version);
  to.setEpoch(info.epoch);
  to.setImageSizeBytes(info.image_size_bytes);
  to.setRingSizeBytes(info.ring_size_bytes);
  to.setRingUsedBytes(info.ring_used_bytes);
  to.setSpaceSizeBytes(info.space_size_bytes);
  to.setBlobCount(static_cast<std::uint32_t>(info.blob_count));
  to.setOwnerPid(info.owner_pid);
  to.setOwnerHost(info.owner_host);
  to.setOwnerSinceSeconds(info.owner_since_seconds);
  if (!info.hand_over.is_none()) {
    to.setHandOver(to_data(info.hand_over.bytes));
  }
}

StoreInfo read_image_info(rpc::ImageInfo::Reader from) {
  const ImageState state = read_state(from.getState());
  StoreInfo info;
  info.uuid = state.uuid;
  info.format_version = from.getFormatVersion();
  info.generation = state.generation;
  info.epoch = from.getEpoch();
  info.image_size_bytes = from.getImageSizeBytes();
  info.ring_size_bytes = from.getRingSizeBytes();
  info.ring_used_bytes = from.getRingUsedBytes();
  info.space_size_bytes = from.getSpaceSizeBytes();
  info.space_free_bytes = state.space_free_bytes;
  info.blob_size_max_bytes = state.blob_size_max_bytes;
  info.blob_count = from.getBlobCount();
  info.owner_pid = from.getOwnerPid();
  info.owner_host = to_string(from.getOwnerHost());
  info.owner_since_seconds = from.getOwnerSinceSeconds();
  const std::span<const std::byte> hand_over = to_span(from.getHandOver());
  std::copy_n(hand_over.begin(), std::min(hand_over.size(), info.hand_over.bytes.size()),
              info.hand_over.bytes.begin());
  info.sealed = state.sealed;
  info.encrypted = state.encrypted;
  info.content_may_change = state.content_may_change;
  return info;
}

namespace {

void write_texts(capnp::List<capnp::Text>::Builder to, const std::vector<std::string>& texts) {
  for (unsigned index = 0; index < to.size(); ++index) {
    to.set(index, texts[index]);
  }
}

std::vector<std::string> read_texts(capnp::List<capnp::Text>::Reader from) {
  std::vector<std::string> texts;
  for (const auto text : from) {
    texts.push_back(to_string(text));
  }
  return texts;
}

} // namespace

void write_report(rpc::CheckReport::Builder to, const CheckReport& report) {
  auto problems = to.initProblems(static_cast<unsigned>(report.problems.size()));
  for (unsigned index = 0; index < problems.size(); ++index) {
    const CheckProblem& problem = report.problems[index];
    problems[index].setPlace(problem.place);
    problems[index].setWhat(problem.what);
    write_texts(problems[index].initBlobs(static_cast<unsigned>(problem.blobs.size())),
                problem.blobs);
    problems[index].setDataLost(problem.data_lost);
  }
  auto blobs = to.initBlobs(static_cast<unsigned>(report.blobs.size()));
  for (unsigned index = 0; index < blobs.size(); ++index) {
    const CheckedBlob& blob = report.blobs[index];
    blobs[index].setName(blob.name);
    blobs[index].setGeneration(blob.generation);
    blobs[index].setSizeBytes(blob.size_bytes);
    blobs[index].setIntact(blob.intact);
  }
  write_texts(to.initNotes(static_cast<unsigned>(report.notes.size())), report.notes);
  to.setGeneration(report.generation);
  to.setBlobsChecked(report.blobs_checked);
  to.setPagesChecked(report.pages_checked);
  to.setRecordsChecked(report.records_checked);
}

CheckReport read_report(rpc::CheckReport::Reader from) {
  CheckReport report;
  for (const auto problem : from.getProblems()) {
    report.problems.push_back({.place = to_string(problem.getPlace()),
                               .what = to_string(problem.getWhat()),
                               .blobs = read_texts(problem.getBlobs()),
                               .data_lost = problem.getDataLost()});
  }
  for (const auto blob : from.getBlobs()) {
    report.blobs.push_back({.name = to_string(blob.getName()),
                            .generation = blob.getGeneration(),
                            .size_bytes = blob.getSizeBytes(),
                            .intact = blob.getIntact()});
  }
  report.notes = read_texts(from.getNotes());
  report.generation = from.getGeneration();
  report.blobs_checked = from.getBlobsChecked();
  report.pages_checked = from.getPagesChecked();
  report.records_checked = from.getRecordsChecked();
  return report;
}

void write_moment(rpc::Moment::Builder to, const Moment& moment) {
  write_state(to.initState(), moment.state);
  auto blobs = to.initBlobs(static_cast<unsigned>(moment.blobs.size()));
  for (unsigned index = 0; index < blobs.size(); ++index) {
    write_info(blobs[index], moment.blobs[index]);
  }
  auto contents = to.initContents(static_cast<unsigned>(moment.contents.size()));
  unsigned index = 0;
  for (const auto& [blob, bytes] : moment.contents) {
    contents[index].setBlob(blob);
    contents[index++].setBytes(to_data(bytes));
  }
  to.setComplete(moment.complete);
}

Moment read_moment(rpc::Moment::Reader from) {
  Moment moment{.state = read_state(from.getState()), .blobs = {}, .complete = from.getComplete()};
  for (const auto blob : from.getBlobs()) {
    moment.blobs.push_back(read_info(blob));
  }
  for (const auto content : from.getContents()) {
    const auto bytes = to_span(content.getBytes());
    moment.contents[to_string(content.getBlob())].assign(bytes.begin(), bytes.end());
  }
  return moment;
}

void write_spec(rpc::BlobSpec::Builder to, const BlobSpec& spec) {
  to.setName(spec.name);
  to.setType(spec.type);
  to.setSizeMaxBytes(spec.size_max_bytes);
  to.setProducer(spec.producer);
  auto attributes = to.initAttributes(static_cast<unsigned>(spec.attributes.size()));
  for (unsigned index = 0; index < attributes.size(); ++index) {
    const Attribute& attribute = spec.attributes[index];
    attributes[index].setName(attribute.name);
    attributes[index].setValue(to_data(std::as_bytes(std::span(attribute.value))));
    attributes[index].setMustKnow(attribute.must_know);
  }
}

BlobSpec read_spec(rpc::BlobSpec::Reader from) {
  BlobSpec spec{.name = to_string(from.getName()),
                .type = to_string(from.getType()),
                .size_max_bytes = from.getSizeMaxBytes(),
                .producer = to_string(from.getProducer())};
  for (const auto attribute : from.getAttributes()) {
    const auto value = attribute.getValue();
    spec.attributes.push_back({.name = to_string(attribute.getName()),
                               .value = std::string(value.begin(), value.end()),
                               .must_know = attribute.getMustKnow()});
  }
  return spec;
}

void write_info(rpc::BlobInfo::Builder to, const BlobInfo& info) {
  write_spec(to.initSpec(), {.name = info.name,
                             .type = info.type,
                             .size_max_bytes = info.size_max_bytes,
                             .producer = info.producer,
                             .attributes = info.attributes});
  to.setSizeBytes(info.size_bytes);
  to.setGeneration(info.generation);
  to.setRegisteredGeneration(info.registered_generation);
}

BlobInfo read_info(rpc::BlobInfo::Reader from) {
  BlobSpec spec = read_spec(from.getSpec());
  return {.name = std::move(spec.name),
          .type = std::move(spec.type),
          .size_max_bytes = spec.size_max_bytes,
          .size_bytes = from.getSizeBytes(),
          .generation = from.getGeneration(),
          .registered_generation = from.getRegisteredGeneration(),
          .producer = std::move(spec.producer),
          .attributes = std::move(spec.attributes)};
}

void write_updates(capnp::List<rpc::Update>::Builder to, const Transaction& transaction) {
  unsigned index = 0;
  for (const Transaction::Update& update : transaction.updates()) {
    rpc::Update::Builder written = to[index++];
    written.setBlob(update.blob);
    switch (update.action) {
    case Transaction::Action::write: written.setWrite(to_data(update.bytes)); break;
    case Transaction::Action::write_range: {
      auto range = written.initWriteRange();
      range.setOffsetBytes(update.offset_bytes);
      range.setBytes(to_data(update.bytes));
      break;
    }
    case Transaction::Action::zero_range: {
      auto range = written.initZeroRange();
      range.setOffsetBytes(update.offset_bytes);
      range.setLengthBytes(update.zero_length_bytes);
      break;
    }
    case Transaction::Action::set_size: written.setSetSize(update.offset_bytes); break;
    }
  }
}

Result<Transaction> read_updates(capnp::List<rpc::Update>::Reader from) {
  Transaction transaction;
  for (const auto update : from) {
    const std::string blob = to_string(update.getBlob());
    switch (update.which()) {
    case rpc::Update::WRITE: transaction.write(blob, to_span(update.getWrite())); break;
    case rpc::Update::WRITE_RANGE: {
      const auto range = update.getWriteRange();
      transaction.write_range(blob, range.getOffsetBytes(), to_span(range.getBytes()));
      break;
    }
    case rpc::Update::ZERO_RANGE: {
      const auto range = update.getZeroRange();
      transaction.zero_range(blob, range.getOffsetBytes(), range.getLengthBytes());
      break;
    }
    case rpc::Update::SET_SIZE: transaction.set_size(blob, update.getSetSize()); break;
    default:
      return Error(ErrorKind::unsupported, "an update of a kind that this owner does not know",
                   "it takes a newer one");
    }
  }
  return transaction;
}

} // namespace vnvram
