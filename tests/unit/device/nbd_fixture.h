// A device on an NBD server, and bytes for it.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "device/nbd_device.h"
#include "support/expect_status.h"
#include "support/nbd_server.h"

namespace vnvram {

using Bytes = std::vector<std::byte>;
using test::NbdServer;

inline Bytes blocks_of(unsigned value, std::size_t count = 1) {
  return Bytes(count * block_size_bytes, static_cast<std::byte>(value));
}

inline Result<std::unique_ptr<NbdDevice>>
try_connect(const std::string& uri, Access access = Access::read_write,
            std::chrono::milliseconds timeout = std::chrono::seconds(20)) {
  NbdTarget target;
  target.name = "export";
  target.uri = uri;
  target.timeout = timeout;
  return NbdDevice::connect(target, access);
}

inline std::unique_ptr<NbdDevice>
connect(const NbdServer& server, Access access = Access::read_write,
        std::chrono::milliseconds timeout = std::chrono::seconds(20)) {
  auto device = try_connect(server.uri(), access, timeout);
  EXPECT_TRUE(device.ok()) << (device ? "" : device.error().text());
  return device ? std::move(*device) : nullptr;
}

inline std::string cause_of(const Status& status) {
  return status ? "success" : status.error().cause();
}

inline std::size_t count_of(const std::string& text, const std::string& what) {
  std::size_t count = 0;
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) {
    ++count;
  }
  return count;
}

} // namespace vnvram
