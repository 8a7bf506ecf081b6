// Requests of owner.capnp that no client of ours makes.
#pragma once

#include <string>
#include <vector>

#include "rpc/wire.h"
#include "unit/store/store_fixture.h"

namespace vnvram::test {

enum class UpdateKind { whole, range, zeros, size };

inline void set(rpc::Update::Builder update, const std::string& blob, UpdateKind kind) {
  update.setBlob(blob);
  switch (kind) {
  case UpdateKind::whole: update.setWrite(to_data(bytes("x"))); break;
  case UpdateKind::range: update.initWriteRange().setBytes(to_data(bytes("x"))); break;
  case UpdateKind::zeros: update.initZeroRange().setLengthBytes(1); break;
  case UpdateKind::size: update.setSetSize(1); break;
  }
}

inline kj::Promise<Status> change_as(rpc::Blobs::Client blobs, const std::string& blob,
                                     UpdateKind kind, bool deferred) {
  auto request = blobs.changeRequest();
  set(request.initUpdates(1)[0], blob, kind);
  request.setDeferred(deferred);
  return request.send().then([](auto&& answer) { return take_status(answer); });
}

inline kj::Promise<Status> change(rpc::Blobs::Client blobs, const std::string& blob) {
  return change_as(kj::mv(blobs), blob, UpdateKind::whole, false);
}

inline kj::Promise<Status> change_all(rpc::Blobs::Client blobs,
                                      const std::vector<std::string>& names) {
  auto request = blobs.changeRequest();
  auto updates = request.initUpdates(static_cast<unsigned>(names.size()));
  for (unsigned index = 0; index < updates.size(); ++index) {
    set(updates[index], names[index], UpdateKind::whole);
  }
  return request.send().then([](auto&& answer) { return take_status(answer); });
}

inline kj::Promise<Status> read_all(rpc::Blobs::Client blobs,
                                    const std::vector<std::string>& names) {
  auto request = blobs.readRequest();
  auto ranges = request.initRanges(static_cast<unsigned>(names.size()));
  for (unsigned index = 0; index < ranges.size(); ++index) {
    ranges[index].setBlob(names[index]);
    ranges[index].setWhole();
  }
  return request.send().then([](auto&& answer) { return take_status(answer); });
}

inline kj::Promise<Status> read(rpc::Blobs::Client blobs, const std::string& blob) {
  return read_all(kj::mv(blobs), std::vector{blob});
}

inline kj::Promise<Status> read_part(rpc::Blobs::Client blobs, const std::string& blob) {
  auto request = blobs.readRequest();
  auto range = request.initRanges(1)[0];
  range.setBlob(blob);
  range.initPart().setLengthBytes(1);
  return request.send().then([](auto&& answer) { return take_status(answer); });
}

inline kj::Promise<Result<std::vector<std::string>>> list(rpc::Blobs::Client blobs) {
  return blobs.listRequest().send().then([](auto&& answer) -> Result<std::vector<std::string>> {
    if (answer.hasFailure()) {
      return read_failure(answer.getFailure());
    }
    std::vector<std::string> names;
    for (const auto blob : answer.getBlobs()) {
      names.push_back(to_string(blob.getSpec().getName()));
    }
    return names;
  });
}

inline kj::Promise<Status> flush(rpc::Blobs::Client blobs) {
  return blobs.flushRequest().send().then([](auto&& answer) { return take_status(answer); });
}

inline kj::Promise<Status> open_lane(rpc::Blobs::Client blobs) {
  return blobs.openLaneRequest().send().then([](auto&& answer) { return take_status(answer); });
}

inline kj::Promise<Status> claim(rpc::Blobs::Client blobs, const std::vector<std::string>& names) {
  auto request = blobs.claimRequest();
  auto list = request.initBlobs(static_cast<unsigned>(names.size()));
  for (unsigned index = 0; index < list.size(); ++index) {
    list.set(index, names[index]);
  }
  return request.send().then([](auto&& answer) { return take_status(answer); });
}

inline kj::Promise<Status> hand_over(rpc::Blobs::Client blobs) {
  return blobs.handOverRequest().send().then([](auto&& answer) { return take_status(answer); });
}

inline kj::Promise<Status> take_back(rpc::Blobs::Client blobs) {
  return blobs.takeBackRequest().send().then([](auto&& answer) { return take_status(answer); });
}

inline kj::Promise<Status> look_again(rpc::Blobs::Client blobs) {
  return blobs.lookAgainRequest().send().then([](auto&& answer) { return take_status(answer); });
}

inline kj::Promise<Status> state(rpc::Blobs::Client blobs) {
  return blobs.stateRequest().send().then([](auto&& answer) { return take_status(answer); });
}

inline kj::Promise<Status> info(rpc::Blobs::Client blobs, const std::string& blob) {
  auto request = blobs.infoRequest();
  request.setBlob(blob);
  return request.send().then([](auto&& answer) { return take_status(answer); });
}

inline kj::Promise<Status> register_blobs(rpc::Blobs::Client blobs,
                                          const std::vector<std::string>& names) {
  auto request = blobs.registerRequest();
  auto list = request.initBlobs(static_cast<unsigned>(names.size()));
  for (unsigned index = 0; index < list.size(); ++index) {
    write_spec(list[index].initSpec(), spec(names[index], 16));
  }
  return request.send().then([](auto&& answer) { return take_status(answer); });
}

inline kj::Promise<Status> register_blob(rpc::Blobs::Client blobs, const std::string& blob) {
  return register_blobs(kj::mv(blobs), std::vector{blob});
}

struct Asked {
  std::string blob;
  bool is_prefix = false;
  bool writes = false;
  bool registers = false;
};

inline rpc::Blobs::Client narrowed(rpc::Blobs::Client blobs, const std::vector<Asked>& grants) {
  auto request = blobs.narrowRequest();
  auto list = request.initGrants(static_cast<unsigned>(grants.size()));
  for (unsigned index = 0; index < list.size(); ++index) {
    if (grants[index].is_prefix) {
      list[index].setPrefix(grants[index].blob);
    } else {
      list[index].setBlob(grants[index].blob);
    }
    list[index].setWrite(grants[index].writes);
    list[index].setRegister(grants[index].registers);
  }
  return request.send().getBlobs();
}

} // namespace vnvram::test
