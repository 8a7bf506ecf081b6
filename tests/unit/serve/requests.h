// Requests of owner.capnp that no client of ours makes.
#pragma once

#include <string>
#include <vector>

#include "rpc/wire.h"
#include "unit/store/store_fixture.h"

namespace vnvram::test {

inline kj::Promise<Status> change(rpc::Blobs::Client blobs, const std::string& blob) {
  auto request = blobs.changeRequest();
  auto update = request.initUpdates(1)[0];
  update.setBlob(blob);
  update.setWrite(to_data(bytes("x")));
  return request.send().then([](auto&& answer) { return take_status(answer); });
}

inline kj::Promise<Status> read(rpc::Blobs::Client blobs, const std::string& blob) {
  auto request = blobs.readRequest();
  auto range = request.initRanges(1)[0];
  range.setBlob(blob);
  range.setWhole();
  return request.send().then([](auto&& answer) { return take_status(answer); });
}

inline kj::Promise<Status> info(rpc::Blobs::Client blobs, const std::string& blob) {
  auto request = blobs.infoRequest();
  request.setBlob(blob);
  return request.send().then([](auto&& answer) { return take_status(answer); });
}

inline kj::Promise<Status> register_blob(rpc::Blobs::Client blobs, const std::string& blob) {
  auto request = blobs.registerRequest();
  write_spec(request.initBlobs(1)[0].initSpec(), spec(blob, 16));
  return request.send().then([](auto&& answer) { return take_status(answer); });
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
