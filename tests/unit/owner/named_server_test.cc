#include "owner/named_server.h"

#include <gtest/gtest.h>

namespace vnvram {
namespace {

TEST(NamedServerTest, OnlyAnAddressNeedsNoResolver) {
  for (const char* named : {"nbd://localhost", "nbd://storage.example:10809/x",
                            "nbds://u@storage/x?tls-certificates=/c", "nbd:///x", "nbd://:10809/x",
                            "nbd://storage@", "nbd://1.2.3"}) {
    EXPECT_TRUE(is_named_server(named)) << named;
  }
  for (const char* other :
       {"nbd://192.0.2.1", "nbd://192.0.2.1:10809/x", "nbds://u@192.0.2.1/x@y", "nbd://[::1]/x",
        "nbds://[fe80::1%eth0]:10809/x", "nbd+unix:///x?socket=/run/s", "/nbd://x", "rbd:p/i"}) {
    EXPECT_FALSE(is_named_server(other)) << other;
  }
}

} // namespace
} // namespace vnvram
