// What an owner tells those who watch it.
#include <cstring>
#include <mutex>
#include <thread>
#include <vector>

#include "uefi/flash_layout.h"
#include "unit/serve/event_recorder.h"
#include "unit/serve/requests.h"
#include "unit/serve/served_image.h"

namespace vnvram::test {
namespace {

class WatchTest : public ServedImage {
protected:
  void SetUp() override {
    serve({spec("a", 4096), spec("b", 65536), spec("tpm2.state", 4096)});
    owner_ = operators();
  }
  // Before the server, whose end is no event here.
  void TearDown() override {
    owner_.reset();
    ServedImage::TearDown();
  }
  /// The whole blob becomes so many bytes.
  static void fill(BlobClient& client, std::string_view blob, std::size_t size_bytes) {
    Transaction transaction;
    const Bytes content(size_bytes, std::byte{1});
    transaction.write(blob, content);
    ASSERT_OK(client.commit(transaction));
  }
  struct Answer {
    std::vector<OwnerEvent> events;
    std::uint64_t last = 0;
  };
  static kj::Promise<Result<Answer>> watch(rpc::Blobs::Client blobs, std::uint64_t after,
                                           std::uint64_t generation) {
    auto request = blobs.watchRequest();
    request.setAfter(after);
    request.setOtherThanGeneration(generation);
    return request.send().then([](auto&& answer) -> Result<Answer> {
      if (answer.hasFailure()) {
        return read_failure(answer.getFailure());
      }
      Answer read{.events = {}, .last = answer.getLast()};
      for (const auto event : answer.getEvents()) {
        read.events.push_back(*read_event(event));
      }
      return read;
    });
  }
  /// All that the recorder has heard before this, it has heard when this returns.
  void wait_for_all(EventRecorder& events) {
    ASSERT_OK(keeper_.seal());
    ASSERT_TRUE(events.wait_for_any<SealChanged>());
  }

  std::unique_ptr<OwnerClient> owner_;
};

TEST_F(WatchTest, TheFirstWordIsTheGenerationThatTheImageIsAt) {
  EventRecorder events(operators());
  ASSERT_TRUE(events.wait_for_generation(keeper_.info().generation));
}

TEST_F(WatchTest, EachGenerationIsToldToWhoKeepsUp) {
  EventRecorder events(operators());
  const auto writer = client();
  for (int round = 0; round < 3; ++round) {
    ASSERT_OK(put(*writer, "a", std::to_string(round)));
    ASSERT_TRUE(events.wait_for_generation(keeper_.info().generation));
  }
}

TEST_F(WatchTest, WhatWasDeferredIsToldWhenItIsDurable) {
  EventRecorder events(operators());
  const std::uint64_t generation = keeper_.info().generation;
  ASSERT_OK(client()->write("a", 0, bytes("deferred"), Durability::deferred));
  ASSERT_TRUE(events.wait_for_generation(generation + 1));
}

TEST_F(WatchTest, WhoIsSlowHearsOfTheNewestGenerationOnly) {
  const auto session = link();
  const auto writer = client();
  const std::uint64_t before = keeper_.info().generation;
  for (int round = 0; round < 20; ++round) {
    ASSERT_OK(put(*writer, "a", std::to_string(round)));
  }
  const auto answer =
      session->ask<Answer>([&](rpc::Owner::Client& owner) { return watch(owner, 0, before); });
  ASSERT_OK(answer);
  ASSERT_EQ(answer->events.size(), 1U);
  EXPECT_EQ(std::get<GenerationReached>(answer->events[0]).generation, before + 20);
}

TEST_F(WatchTest, WhoNamesNoGenerationIsToldOfNone) {
  const auto session = link();
  std::thread writer([&] {
    const auto client = this->client();
    for (int round = 0; round < 20; ++round) {
      EXPECT_TRUE(put(*client, "a", std::to_string(round)).ok());
    }
    EXPECT_TRUE(keeper_.seal().ok());
  });
  const auto answer = session->ask<Answer>(
      [&](rpc::Owner::Client& owner) { return watch(owner, 0, no_generation); });
  writer.join();
  ASSERT_OK(answer);
  ASSERT_EQ(answer->events.size(), 1U);
  EXPECT_TRUE(std::get<SealChanged>(answer->events[0]).sealed);
}

TEST_F(WatchTest, AFollowerOfFailuresPassesOverWhatElseHappens) {
  const auto front_end = client();
  std::mutex mutex;
  std::vector<Error> told;
  front_end->watch_failures([&](const Error& error) {
    const std::lock_guard lock(mutex);
    told.push_back(error);
  });
  EventRecorder events(operators());
  ASSERT_OK(keeper_.seal());
  ASSERT_OK(keeper_.unseal());
  ASSERT_TRUE(events.wait_for([](const OwnerEvent& event) {
    const auto* seal = std::get_if<SealChanged>(&event);
    return seal != nullptr && !seal->sealed;
  }));
  ASSERT_OK(front_end->state());
  const std::lock_guard lock(mutex);
  EXPECT_TRUE(told.empty());
}

TEST_F(WatchTest, SealingTwiceIsToldOnce) {
  EventRecorder events(operators());
  ASSERT_OK(keeper_.seal());
  ASSERT_OK(keeper_.seal());
  ASSERT_OK(keeper_.unseal());
  ASSERT_TRUE(events.wait_for([](const OwnerEvent& event) {
    const auto* seal = std::get_if<SealChanged>(&event);
    return seal != nullptr && !seal->sealed;
  }));
  EXPECT_EQ(events.all_of<SealChanged>().size(), 2U);
}

TEST_F(WatchTest, TheLossOfTheOwnerIsTheLastThatIsTold) {
  EventRecorder events(operators());
  ASSERT_TRUE(events.wait_for_any<GenerationReached>());
  server_.reset();
  ASSERT_TRUE(events.wait_for_loss());
}

TEST_F(WatchTest, ABlobThatFillsUpIsToldOnceUntilMuchOfItIsFreeAgain) {
  EventRecorder events(operators());
  const auto writer = client();
  fill(*writer, "tpm2.state", 1000);
  fill(*writer, "tpm2.state", 3600);
  fill(*writer, "tpm2.state", 3900);
  fill(*writer, "tpm2.state", 3500);
  fill(*writer, "tpm2.state", 3900); // Nothing that is new.
  fill(*writer, "tpm2.state", 1000);
  clock_.advance(std::chrono::hours(10));
  fill(*writer, "tpm2.state", 3800);
  wait_for_all(events);
  const auto told = events.all_of<NearlyFull>();
  ASSERT_EQ(told.size(), 2U);
  EXPECT_EQ(told[0].blob, "tpm2.state");
  EXPECT_EQ(told[0].used_bytes, 3900U);
  EXPECT_EQ(told[0].size_bytes, 4096U);
  EXPECT_EQ(told[1].forecast,
            "grew by 2800 bytes in 10 hours: if it goes on so, full in 63 minutes");
}

TEST_F(WatchTest, ABlobThatWasNeverLessFullIsNotTold) {
  EventRecorder events(operators());
  const auto writer = client();
  fill(*writer, "a", 4096); // The file of a device, in full.
  fill(*writer, "a", 4096);
  for (std::uint64_t offset = 0; offset < 65536; offset += 8192) { // A device's memory.
    ASSERT_OK(writer->write("b", offset, Bytes(8192, std::byte{1}), Durability::on_return));
  }
  wait_for_all(events);
  EXPECT_TRUE(events.all_of<NearlyFull>().empty());
}

TEST_F(WatchTest, TheSpaceForBlobsIsToldOnceUntilMuchOfItIsFreeAgain) {
  EventRecorder events(operators());
  constexpr std::uint64_t size_bytes = 65536;
  std::vector<std::string> names;
  const auto fill_up = [&] {
    while (keeper_.info().space_free_bytes > 2 * size_bytes) {
      names.push_back("more" + std::to_string(names.size()));
      ASSERT_OK(owner_->register_blobs(std::vector{NewBlob{spec(names.back(), size_bytes)}}));
    }
  };
  fill_up();
  for (const std::string& name : names) {
    ASSERT_OK(owner_->remove(name));
  }
  names.clear();
  fill_up();
  const StoreInfo info = keeper_.info();
  wait_for_all(events);
  const auto told = events.all_of<NearlyFull>();
  ASSERT_EQ(told.size(), 2U);
  EXPECT_EQ(told[0].blob, "");
  EXPECT_EQ(told[0].size_bytes, info.space_size_bytes);
  EXPECT_GE(told[0].used_bytes, info.space_size_bytes / 10 * 9);
}

/// Firmware's flash, with variables of so many bytes in it.
Bytes flash_with(std::size_t size_bytes) {
  Bytes flash(8192, std::byte{0xff});
  const auto put = [&](std::size_t at, auto value) {
    std::memcpy(flash.data() + at, &value, sizeof(value));
  };
  uefi_flash::VolumeHeader volume{};
  volume.signature = uefi_flash::volume_signature;
  volume.header_length_bytes = 72;
  put(0, volume);
  put(72, uefi_flash::StoreHeader{.type = uefi_flash::plain_store,
                                  .size_bytes = 4096,
                                  .format = uefi_flash::store_formatted,
                                  .state = uefi_flash::store_healthy,
                                  .reserved = 0,
                                  .reserved_too = 0});
  put(100, std::uint32_t{0x003f55aa}); // One variable, behind a header of 32 bytes.
  put(108, std::uint32_t{2});
  put(112, static_cast<std::uint32_t>(size_bytes - 34));
  return flash;
}

TEST_F(WatchTest, TheSpaceOfUefiVariablesIsLookedAtWhenTheyAreWritten) {
  BlobSpec variables = spec("vars", 8192);
  variables.type = "edk2.variables";
  ASSERT_OK(owner_->register_blobs(std::vector{NewBlob{variables}}));
  EventRecorder events(operators());
  const auto writer = client();
  for (const std::size_t size_bytes : {1000U, 3800U, 3900U}) {
    ASSERT_OK(writer->write("vars", 0, flash_with(size_bytes), Durability::deferred));
    ASSERT_OK(writer->flush());
    clock_.advance(std::chrono::seconds(20));
  }
  wait_for_all(events);
  const auto told = events.all_of<NearlyFull>();
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].blob, "vars");
  EXPECT_EQ(told[0].used_bytes, 3800U);
  EXPECT_EQ(told[0].size_bytes, 4096U - 28);
}

TEST_F(WatchTest, OfABlobThatASessionDoesNotReachItHearsNothing) {
  const auto writer = client();
  fill(*writer, "tpm2.state", 1000);
  fill(*writer, "tpm2.state", 4000);
  const auto session = link();
  const auto ask = [&](const std::string& blob) {
    return session->ask<Answer>([&](rpc::Owner::Client& owner) {
      return watch(narrowed(owner, {{.blob = blob}}), 0, no_generation);
    });
  };
  const auto not_its_own = ask("a");
  ASSERT_OK(not_its_own);
  EXPECT_TRUE(not_its_own->events.empty());
  EXPECT_EQ(not_its_own->last, 1U);
  const auto its_own = ask("tpm2.state");
  ASSERT_OK(its_own);
  ASSERT_EQ(its_own->events.size(), 1U);
}

} // namespace
} // namespace vnvram::test
