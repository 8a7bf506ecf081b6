// RbdLocation: what a user writes.
#include "device/rbd_location.h"

#include <string>
#include <vector>

#include "device/location.h"
#include "support/expect_status.h"

namespace vnvram {
namespace {

RbdLocation parsed(const std::string& text) {
  const Result<RbdLocation> location = RbdLocation::parse(text);
  EXPECT_TRUE(location.ok()) << text << ": " << (location ? "" : location.error().text());
  return location ? *location : RbdLocation{};
}

using Settings = std::vector<std::pair<std::string, std::string>>;

TEST(RbdLocationTest, NamesPoolAndImage) {
  const RbdLocation location = parsed("rbd:pool/image");
  EXPECT_EQ(location.pool, "pool");
  EXPECT_EQ(location.name_space, "");
  EXPECT_EQ(location.image, "image");
  EXPECT_EQ(location.snapshot, "");
  EXPECT_EQ(location.id, "");
  EXPECT_EQ(location.conf, "");
  EXPECT_TRUE(location.settings.empty());
  EXPECT_EQ(location.text, "rbd:pool/image");
  EXPECT_EQ(location.spec(), "pool/image");
}

TEST(RbdLocationTest, NamesNamespaceSnapshotAndOptions) {
  const RbdLocation location =
      parsed("rbd:pool/room/image@before:id=admin:conf=/etc/ceph/my.conf:keyring=/k");
  EXPECT_EQ(location.pool, "pool");
  EXPECT_EQ(location.name_space, "room");
  EXPECT_EQ(location.image, "image");
  EXPECT_EQ(location.snapshot, "before");
  EXPECT_EQ(location.id, "admin");
  EXPECT_EQ(location.conf, "/etc/ceph/my.conf");
  EXPECT_EQ(location.settings, (Settings{{"keyring", "/k"}}));
  EXPECT_EQ(location.spec(), "pool/room/image@before");
}

TEST(RbdLocationTest, ABackslashTakesWhatFollowsAsItIs) {
  const RbdLocation location =
      parsed(R"(rbd:a\:b/c\\d@s\:t:mon-host=127.0.0.1\:6789:conf=/a\:b\@c/d)");
  EXPECT_EQ(location.pool, "a:b");
  EXPECT_EQ(location.image, "c\\d");
  EXPECT_EQ(location.snapshot, "s:t");
  EXPECT_EQ(location.conf, "/a:b@c/d");
  EXPECT_EQ(location.settings, (Settings{{"mon_host", "127.0.0.1:6789"}}));
  EXPECT_EQ(parsed("rbd:pool/image:conf=a=b").conf, "a=b");
}

TEST(RbdLocationTest, WhatNamesNoImageIsRefused) {
  for (const char* text :
       {"rbd:", "rbd:pool", "rbd:pool/", "rbd:/image", "rbd:pool//image", "rbd:pool/a/",
        "rbd:pool/a/b/c", "rbd:pool/image@", "rbd:pool/@snapshot", "rbd:pool/image@a@b",
        "rbd:pool/image@a/b", R"(rbd:pool/a\/b)", R"(rbd:pool/a\@b)", "rbd:pool/image:id",
        "rbd:pool/image:=x", "rbd:pool/image::id=x", "rbd:pool/im\nage", "rbd:pool/image\x7f",
        "nbd://pool/image"}) {
    SCOPED_TRACE(text);
    EXPECT_KIND(RbdLocation::parse(text), invalid_argument);
  }
}

TEST(RbdLocationTest, WhatKeepsAnImageWholeIsNotTheUsersToSet) {
  for (const char* option :
       {"rbd_cache=true", "rbd cache=true", "rbd-cache-policy=writeback", "rbd_plugins=pwl_cache",
        "rbd_persistent_cache_mode=ssd", "rados_osd_op_timeout=0", "rados_mon_op_timeout=0",
        "client_mount_timeout=0", "rbd_blocklist_on_break_lock=false",
        "rbd_read_from_replica_policy=balance", "rados_replica_read_policy=localize"}) {
    SCOPED_TRACE(option);
    EXPECT_KIND(RbdLocation::parse(std::string("rbd:pool/image:") + option), invalid_argument);
  }
}

TEST(RbdLocationTest, AKeyIsRefusedAndNotRepeated) {
  const auto location = RbdLocation::parse("rbd:pool/image:key=c2VjcmV0");
  EXPECT_KIND(location, invalid_argument);
  EXPECT_EQ(location.error().text().find("c2VjcmV0"), std::string::npos);
}

TEST(RbdLocationTest, ItsNameForMessagesHasNoKey) {
  EXPECT_EQ(location_name("rbd:pool/image:conf=/etc/c:key=c2VjcmV0:id=vm"),
            "rbd:pool/image:conf=/etc/c:key=...:id=vm");
  EXPECT_EQ(location_name("rbd:pool/image:k\\ey=c2VjcmV0"), "rbd:pool/image:k\\ey=...");
  for (const char* as_it_is :
       {"rbd:pool/image", "rbd:pool/im\\:key=a:keyring=/k", "/a/file:key=a"}) {
    EXPECT_EQ(location_name(as_it_is), as_it_is);
  }
}

TEST(RbdLocationTest, IsASchemeOfItsOwn) {
  EXPECT_EQ(scheme_of("rbd:pool/image"), LocationScheme::rbd);
  EXPECT_EQ(scheme_of("./rbd:pool/image"), LocationScheme::path);
  EXPECT_TRUE(is_served("rbd:pool/image"));
  // Libraries, configuration and keys are files; the threads do not survive a fork.
  EXPECT_TRUE(needs_files("rbd:pool/image"));
  EXPECT_TRUE(has_own_threads("rbd:pool/image"));
  EXPECT_FALSE(needs_files("nbd://host/export"));
  EXPECT_FALSE(has_own_threads("nbd://host/export"));
  EXPECT_TRUE(needs_files("/a/file"));
}

// Whatever is found to be wrong first.
TEST(RbdLocationTest, NoMessageShowsAKey) {
  for (const std::string beginning :
       {"rbd:pool", "rbd:pool/", "rbd:pool/a/b/c", "rbd:pool/image@", "rbd:pool/image@a@b",
        "rbd:pool/image:foo", "rbd:pool/image:=", "rbd:pool/image", "rbd:pool/image:rbd_cache=true",
        "rbd:pool/image:\n", "pool/image"}) {
    const Result<RbdLocation> location = RbdLocation::parse(beginning + ":key=c2VjcmV0");
    EXPECT_KIND(location, invalid_argument);
    EXPECT_EQ(location.error().text().find("c2VjcmV0"), std::string::npos)
        << location.error().text();
  }
}

TEST(RbdLocationTest, TellsWhichFilesDependOnTheFolder) {
  for (const char* end :
       {"", ":conf=/a/b", ":keyring=/a,/b", ":keyring=/a; /b:conf=/c", ":mon_host=a"}) {
    EXPECT_OK(parsed("rbd:pool/image" + std::string(end)).check_names_of_files());
  }
  for (const char* end : {":conf=a/b", ":keyring=a", ":keyring=/a,b", ":keyfile=./a"}) {
    EXPECT_KIND(parsed("rbd:pool/image" + std::string(end)).check_names_of_files(),
                invalid_argument);
  }
}

} // namespace
} // namespace vnvram
