// What a capability to a TPM's blobs lets its holder do, and what it does not, whoever made it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "client/blob_client.h"
#include "support/expect_status.h"
#include "unit/serve/raw_session.h"
#include "unit/serve/requests.h"

namespace vnvram::test {

/// May read, write and register the blobs whose names begin with "tpm2.". The image has tpm2.state,
/// tpm2.other, "a" and "tpm", of 4096 bytes each.
class TpmRights {
public:
  /// Of what the session's connection begins with.
  using Capability = std::function<rpc::Blobs::Client(rpc::Owner::Client)>;

  [[nodiscard]] static std::vector<Asked> grants() {
    return {{.blob = "tpm2.", .is_prefix = true, .writes = true, .registers = true}};
  }

  /// `somebody` else sees what became of the blobs, with a session of their own.
  TpmRights(RawSession& session, Capability capability, BlobClient& somebody)
      : session_(session), capability_(std::move(capability)), somebody_(somebody) {}

  void expect_nothing_else() {
    const auto before = generations();
    expect_its_own();
    expect_no_other_blob();
    expect_no_part_of_a_call_that_names_another();
    expect_no_more_by_narrowing();
    expect_no_call_of_the_operators();
    for (const char* name : {"a", "tpm", "tpm2.other"}) {
      EXPECT_EQ(generations()[name], before.at(name)) << name;
    }
    expect_the_others_to_be_anybodys();
  }

private:
  using Names = std::vector<std::string>;

  template <typename T = void, typename Call> Result<T> ask(Call call) {
    return session_.answer<T>(
        [&](rpc::Owner::Client& bootstrap) { return call(capability_(bootstrap)); });
  }

  void expect_its_own() {
    ASSERT_OK(ask([](auto blobs) { return change(blobs, "tpm2.state"); }));
    ASSERT_OK(ask([](auto blobs) { return read(blobs, "tpm2.state"); }));
    ASSERT_OK(ask([](auto blobs) { return info(blobs, "tpm2.state"); }));
    ASSERT_OK(ask([](auto blobs) { return register_blob(blobs, "tpm2.more"); }));
    ASSERT_OK(ask([](auto blobs) { return flush(blobs); }));
    ASSERT_OK(ask([](auto blobs) { return state(blobs); }));
    ASSERT_OK(ask([](auto blobs) { return claim(blobs, {"tpm2.state", "tpm2.other"}); }));
    ASSERT_OK(ask([](auto blobs) { return claim(blobs, {"tpm2.state"}); }));
    expect_to_see({"tpm2.more", "tpm2.other", "tpm2.state"}, [](auto blobs) { return blobs; });
  }

  /// One that is there is refused as one that is not.
  void expect_no_other_blob() {
    for (const std::string name : {"a", "tpm", "nobody", "", "TPM2.STATE", " tpm2.state"}) {
      SCOPED_TRACE(name);
      const std::string refused = name + ": there is no such blob";
      expect_refused(refused, ask([&](auto blobs) { return info(blobs, name); }));
      expect_refused(refused, ask([&](auto blobs) { return read(blobs, name); }));
      expect_refused(refused, ask([&](auto blobs) { return read_part(blobs, name); }));
      expect_refused(refused, ask([&](auto blobs) { return change(blobs, name); }));
      for (const UpdateKind kind : {UpdateKind::range, UpdateKind::zeros, UpdateKind::size}) {
        for (const bool deferred : {false, true}) {
          expect_refused(refused,
                         ask([&](auto blobs) { return change_as(blobs, name, kind, deferred); }));
        }
      }
      expect_refused(refused, ask([&](auto blobs) { return claim(blobs, {"tpm2.state", name}); }));
      EXPECT_KIND(ask([&](auto blobs) { return register_blob(blobs, name); }), read_only);
    }
  }

  void expect_no_part_of_a_call_that_names_another() {
    EXPECT_KIND(ask([](auto blobs) {
                  return change_all(blobs, Names{"tpm2.other", "a"});
                }),
                not_found);
    EXPECT_KIND(ask([](auto blobs) {
                  return change_all(blobs, Names{"a", "tpm2.other"});
                }),
                not_found);
    EXPECT_KIND(ask([](auto blobs) {
                  return read_all(blobs, Names{"tpm2.other", "a"});
                }),
                not_found);
    EXPECT_KIND(ask([](auto blobs) {
                  return register_blobs(blobs, {"tpm2.part", "part"});
                }),
                read_only);
    EXPECT_KIND(somebody_.blob("tpm2.part"), not_found);
    EXPECT_KIND(somebody_.blob("part"), not_found);
  }

  void expect_no_more_by_narrowing() {
    const std::vector<Asked> everything{
        {.blob = "", .is_prefix = true, .writes = true, .registers = true}};
    const std::vector<Asked> others{{.blob = "a", .writes = true, .registers = true},
                                    {.blob = "t", .is_prefix = true, .writes = true}};
    const std::vector<Asked> reader{{.blob = "tpm2.state"}};
    for (const auto& grants : {everything, others}) {
      expect_to_see({"tpm2.more", "tpm2.other", "tpm2.state"},
                    [&](auto blobs) { return narrowed(blobs, grants); });
      EXPECT_KIND(ask([&](auto blobs) { return read(narrowed(blobs, grants), "a"); }), not_found);
      EXPECT_KIND(ask([&](auto blobs) { return change(narrowed(blobs, grants), "tpm"); }),
                  not_found);
    }
    const auto read_again = [&](auto blobs) {
      return narrowed(narrowed(narrowed(blobs, reader), TpmRights::grants()), everything);
    };
    expect_to_see({"tpm2.state"}, read_again);
    EXPECT_KIND(ask([&](auto blobs) { return change(read_again(blobs), "tpm2.state"); }),
                read_only);
    EXPECT_KIND(ask([&](auto blobs) { return register_blob(read_again(blobs), "tpm2.state"); }),
                read_only);
    EXPECT_KIND(ask([&](auto blobs) { return hand_over(read_again(blobs)); }), read_only);
    EXPECT_KIND(ask([&](auto blobs) { return take_back(read_again(blobs)); }), read_only);
    EXPECT_KIND(ask([&](auto blobs) { return look_again(read_again(blobs)); }), read_only);
    expect_to_see({}, [](auto blobs) { return narrowed(blobs, {}); });
  }

  void expect_no_call_of_the_operators() {
    const auto expect_unknown = [this](auto send) {
      EXPECT_KIND(ask([&](auto blobs) {
                    return send(blobs.template castAs<rpc::Owner>()).then([](auto&& answer) {
                      return take_status(answer);
                    });
                  }),
                  unsupported);
    };
    expect_unknown([](auto owner) { return owner.statusRequest().send(); });
    expect_unknown([](auto owner) { return owner.restartRequest().send(); });
    expect_unknown([](auto owner) {
      auto request = owner.holdRequest();
      request.setDurationMs(1);
      return request.send();
    });
    expect_unknown([](auto owner) {
      auto request = owner.removeRequest();
      request.setBlob("tpm2.state");
      return request.send();
    });
    EXPECT_KIND(ask([](auto blobs) {
                  return blobs.template castAs<rpc::Owner>().releaseRequest().send().then(
                      [](auto&&) { return Status(); });
                }),
                unsupported);
  }

  /// A call that was refused has taken no right to write.
  void expect_the_others_to_be_anybodys() {
    for (const char* name : {"a", "tpm"}) {
      ASSERT_OK(somebody_.write(name, 0, bytes("somebody else's"), Durability::on_return));
    }
  }

  std::map<std::string, std::uint64_t> generations() {
    std::map<std::string, std::uint64_t> found;
    const auto blobs = somebody_.blobs();
    for (const BlobInfo& blob : blobs ? *blobs : std::vector<BlobInfo>()) {
      found[blob.name] = blob.generation;
    }
    return found;
  }

  void expect_to_see(const Names& expected,
                     const std::function<rpc::Blobs::Client(rpc::Blobs::Client)>& of) {
    const auto seen = ask<Names>([&](auto blobs) { return list(of(blobs)); });
    ASSERT_OK(seen);
    EXPECT_EQ(*seen, expected);
  }

  static void expect_refused(const std::string& cause, const Status& status) {
    EXPECT_KIND(status, not_found);
    EXPECT_EQ(status.error().cause(), cause);
  }

  RawSession& session_;
  const Capability capability_;
  BlobClient& somebody_;
};

} // namespace vnvram::test
