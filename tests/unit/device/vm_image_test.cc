// VM images through a qemu-nbd of our own, and the programs that end when we do.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

#include "device/bound_child.h"
#include "device/image_format.h"
#include "support/process.h"
#include "support/temporary_directory.h"
#include "unit/device/nbd_fixture.h"
#include "vnvram/store.h"

namespace vnvram {
namespace {

using std::chrono::seconds;

class VmImageTest : public testing::Test {
protected:
  [[nodiscard]] std::string image(const std::string& format) const {
    const std::string path = directory_.path("vm." + format);
    EXPECT_TRUE(create_image_file(path, 0, {}).ok());
    return path;
  }
  static std::unique_ptr<BlockDevice> open(const std::string& path,
                                           Access access = Access::read_write) {
    auto device = open_device(path, access);
    EXPECT_TRUE(device.ok()) << (device ? "" : device.error().text());
    return device ? std::move(*device) : nullptr;
  }
  /// The process that serves an image.
  static pid_t server_of(const std::string& path) {
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
      std::ifstream file(entry.path() / "cmdline");
      const std::string words{std::istreambuf_iterator<char>(file), {}};
      if (words.find("qemu-nbd") != std::string::npos && words.find(path) != std::string::npos) {
        return std::stoi(entry.path().filename().string());
      }
    }
    return 0;
  }

  test::TemporaryDirectory directory_;
};

constexpr std::uint64_t spare_offset_bytes = std::uint64_t{3} << 20U;

TEST_F(VmImageTest, WritesAndReadsLikeAnyDevice) {
  for (const char* format : {"qcow2", "vmdk", "vhdx", "vdi"}) {
    const std::string path = image(format);
    {
      const auto device = open(path);
      ASSERT_NE(device, nullptr);
      EXPECT_EQ(device->name(), path);
      EXPECT_TRUE(device->capabilities().lock);
      EXPECT_TRUE(device->capabilities().remote);
      EXPECT_FALSE(device->capabilities().content_may_change);
      ASSERT_OK(device->lock_for_writing());
      ASSERT_OK(device->write_durable(spare_offset_bytes, blocks_of(1, 3)));
      Bytes there(block_size_bytes);
      ASSERT_OK(device->write_durable_and_read(spare_offset_bytes, blocks_of(2),
                                               spare_offset_bytes + block_size_bytes, there));
      EXPECT_EQ(there, blocks_of(1));
      EXPECT_KIND(device->resize(std::uint64_t{64} << 20U), unsupported);
      EXPECT_KIND(device->read(*device->size_bytes(), there), io);
    }
    EXPECT_EQ(server_of(path), 0) << format; // Gone when the device is.
    const auto device = open(path, Access::read_only);
    Bytes there(2 * block_size_bytes);
    ASSERT_OK(device->read(spare_offset_bytes, there));
    EXPECT_EQ(there[0], std::byte{2});
    EXPECT_EQ(there[block_size_bytes], std::byte{1});
    EXPECT_KIND(device->write(0, blocks_of(0)), read_only);
  }
}

TEST_F(VmImageTest, OutlivesTheThreadThatOpenedIt) {
  const std::string path = image("qcow2");
  std::unique_ptr<BlockDevice> device;
  std::thread([&] { device = open(path); }).join();
  ASSERT_NE(device, nullptr);
  ASSERT_OK(device->write_durable(spare_offset_bytes, blocks_of(1)));
  ASSERT_OK(device->flush());
}

TEST_F(VmImageTest, HasOneOwner) {
  const std::string path = image("qcow2");
  const auto first = open(path);
  ASSERT_OK(first->lock_for_writing());
  EXPECT_KIND(open_device(path, Access::read_write), in_use);
  EXPECT_KIND(open_device(path, Access::read_only), in_use);
  first->unlock();
  {
    const auto second = open(path);
    ASSERT_OK(second->lock_for_writing());
    EXPECT_KIND(first->lock_for_writing(), in_use);
    ASSERT_OK(second->write_durable(spare_offset_bytes, blocks_of(7)));
  }
  ASSERT_OK(first->lock_for_writing()); // The right can be taken again.
  Bytes there(block_size_bytes);
  ASSERT_OK(first->read(spare_offset_bytes, there));
  EXPECT_EQ(there, blocks_of(7));
}

TEST_F(VmImageTest, ReadersShareIt) {
  const std::string path = image("qcow2");
  const auto first = open(path, Access::read_only);
  const auto second = open(path, Access::read_only);
  ASSERT_NE(second, nullptr);
  EXPECT_KIND(open_device(path, Access::read_write), in_use);
}

TEST_F(VmImageTest, ServerThatDiesPoisonsTheStoreUntilItIsReopened) {
  const std::string path = image("qcow2");
  OpenOptions options;
  options.idle_checkpoint_after = std::chrono::milliseconds(0); // It would be the first to fail.
  auto opened = Store::open(open(path), options);
  ASSERT_OK(opened);
  const std::unique_ptr<Store> store = std::move(*opened);
  const std::vector<BlobSpec> specs = {{.name = "a", .type = "t", .size_max_bytes = 4096}};
  ASSERT_OK(store->register_blobs(specs));
  ASSERT_OK(store->write("a", blocks_of(1)));
  const pid_t server = server_of(path);
  ASSERT_GT(server, 0);
  ASSERT_EQ(::kill(server, SIGKILL), 0);
  EXPECT_KIND(store->write("a", blocks_of(2)), io);
  EXPECT_KIND(store->write("a", blocks_of(2)), poisoned);
  EXPECT_FALSE(store->close().ok());
  auto again = Store::open(open(path));
  ASSERT_OK(again);
  const auto content = (*again)->read("a");
  ASSERT_OK(content);
  EXPECT_TRUE(*content == blocks_of(1) || *content == blocks_of(2));
  ASSERT_OK((*again)->write("a", blocks_of(3)));
  ASSERT_OK((*again)->close());
}

TEST_F(VmImageTest, OneThatIsBlankIsFormattedInPlaceAndOpenedWithTheSameDevice) {
  const std::string path = directory_.path("disk");
  ASSERT_EQ(test::run({"qemu-img", "create", "-q", "-f", "qcow2", path, "8M"}).exit_status, 0);
  auto device = open(path);
  ASSERT_OK(create_image(*device, {}));
  const auto store = Store::open(std::move(device));
  ASSERT_OK(store);
  ASSERT_OK((*store)->close());
  ASSERT_OK(open_device(path, Access::read_write)); // close() has given it up.
}

TEST_F(VmImageTest, FormatsAreToldByTheirFirstBytesOnly) {
  const auto format_of = [&](const std::string& name, const std::string& bytes) {
    const std::string path = directory_.path(name);
    std::ofstream(path) << bytes << std::string(600, '\0');
    const auto container = recognise_image(path);
    return container ? std::string(image_format_name(container->format)) : "refused";
  };
  EXPECT_EQ(format_of("a.qcow2", ""), "raw"); // A name says nothing about what is there.
  EXPECT_EQ(format_of("b", std::string("QFI\xfb\0\0\0\3", 8)), "qcow2");
  EXPECT_EQ(format_of("c", std::string("QFI\xfb\0\0\0\1", 8)), "refused");
  EXPECT_EQ(format_of("d", "KDMV"), "vmdk");
  EXPECT_EQ(format_of("e", "# Disk DescriptorFile\n"), "vmdk");
  EXPECT_EQ(format_of("f", "vhdxfile"), "vhdx");
  EXPECT_EQ(format_of("g", "<<< " + std::string(60, ' ') + "\x7f\x10\xda\xbe"), "vdi");
  EXPECT_EQ(format_of("h", std::string(64, 'x') + "\x7f\x10\xda\xbe"), "raw");
  EXPECT_EQ(format_of("i", "LUKS\xba\xbe"), "luks");
  EXPECT_EQ(format_of("j", "conectix"), "refused");
  EXPECT_EQ(format_of("k", std::string(4096, '\0') + "QFI\xfb"), "raw");
  std::ofstream(directory_.path("short")) << "QFI\xfb";
  EXPECT_EQ(recognise_image(directory_.path("short"))->format, ImageFormat::raw);
  EXPECT_EQ(recognise_image(directory_.path("none"))->format, ImageFormat::raw);
}

TEST(BoundChildTest, EndsWhenItsOwnerGoes) {
  pid_t pid = 0;
  {
    // It says which process it is, and would stay for ever.
    auto child = BoundChild::start({"/bin/sh", "-c", "echo $$ >&2; exec sleep infinity"});
    ASSERT_OK(child);
    while (child->said().find('\n') == std::string::npos) {
      ASSERT_FALSE(child->wait(std::chrono::milliseconds(1)).has_value());
    }
    pid = std::stoi(child->said());
    ASSERT_EQ(::kill(pid, 0), 0);
    // Who ends a group of processes means us.
    for (const int signal : {SIGTERM, SIGINT, SIGHUP}) {
      ASSERT_EQ(::kill(pid, signal), 0);
    }
    EXPECT_FALSE(child->wait(std::chrono::milliseconds(10)).has_value());
  }
  EXPECT_EQ(::kill(pid, 0), -1);
}

TEST(BoundChildTest, TakesWhatItHasStartedAlong) {
  pid_t pid = 0;
  {
    auto child = BoundChild::start({"/bin/sh", "-c", "sleep infinity & echo $! >&2; wait"});
    ASSERT_OK(child);
    while (child->said().find('\n') == std::string::npos) {
      ASSERT_FALSE(child->wait(std::chrono::milliseconds(1)).has_value());
    }
    pid = std::stoi(child->said());
    ASSERT_EQ(::kill(pid, 0), 0);
  }
  // It is another's child, which may have to collect it yet.
  const auto runs = [&] {
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    std::string words;
    return std::getline(file, words) && words.find(") Z ") == std::string::npos;
  };
  const auto deadline = std::chrono::steady_clock::now() + seconds(20);
  while (runs() && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::yield();
  }
  if (runs()) {
    ADD_FAILURE() << "it runs on";
    ::kill(pid, SIGKILL);
  }
}

TEST(BoundChildTest, HandsOneDescriptorOver) {
  std::array<int, 2> ends = {};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  const UniqueFd reader(ends[0]);
  {
    const UniqueFd writer(ends[1]);
    ASSERT_EQ(::write(writer.get(), "key\n", 4), 4);
  }
  auto child = BoundChild::start({"/bin/sh", "-c", "cat <&5 >&2"}, -1, -1, reader.get());
  ASSERT_OK(child);
  EXPECT_EQ(child->wait(seconds(20)), 0);
  EXPECT_EQ(child->said(), "key\n");
}

TEST(BoundChildTest, IsStartedInAFolder) {
  const UniqueFd folder(::open("/usr/bin", O_PATH | O_DIRECTORY | O_CLOEXEC));
  auto child = BoundChild::start({"/bin/sh", "-c", "pwd -P >&2"}, -1, -1, -1, folder.get());
  ASSERT_OK(child);
  EXPECT_EQ(child->wait(seconds(20)), 0);
  EXPECT_EQ(child->said(), "/usr/bin\n");
  const UniqueFd file(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  auto nowhere = BoundChild::start({"/bin/true"}, -1, -1, -1, file.get());
  ASSERT_OK(nowhere);
  EXPECT_EQ(nowhere->wait(seconds(20)), 127);
}

TEST(BoundChildTest, ReportsHowItEndedAndWhatItSaid) {
  auto child = BoundChild::start({"/bin/sh", "-c", "echo no >&2; exit 3"});
  ASSERT_OK(child);
  EXPECT_EQ(child->wait(seconds(20)), 3);
  EXPECT_EQ(child->said(), "no\n");
  EXPECT_EQ(child->wait(seconds(0)), 3);
  auto missing = BoundChild::start({"/nowhere/program"});
  ASSERT_OK(missing);
  EXPECT_EQ(missing->wait(seconds(20)), 127);
  auto killed = BoundChild::start({"/bin/sh", "-c", "echo there >&2; exec sleep infinity"});
  ASSERT_OK(killed);
  while (killed->said().empty()) {
    ASSERT_FALSE(killed->wait(std::chrono::milliseconds(1)).has_value());
  }
  killed->kill();
  EXPECT_EQ(killed->wait(seconds(20)), 128 + SIGKILL);
}

TEST(BoundChildTest, GetsNoDescriptorOfOurs) {
  const UniqueFd leaky(::dup(STDOUT_FILENO)); // No O_CLOEXEC: as careless programs have them.
  auto child = BoundChild::start({"/bin/sh", "-c", "ls /proc/self/fd >&2"});
  ASSERT_OK(child);
  EXPECT_EQ(child->wait(seconds(20)), 0);
  // 3 and 4 are what it gets; 5 is ls's own.
  EXPECT_EQ(child->said(), "0\n1\n2\n3\n4\n5\n");
}

TEST(BoundChildTest, DoesNotHangWhenTheProgramCollectsEveryChild) {
  auto child = BoundChild::start({"/bin/true"});
  ASSERT_OK(child);
  ASSERT_GT(::waitpid(-1, nullptr, 0), 0);
  EXPECT_EQ(child->wait(seconds(20)), 0);
}

} // namespace
} // namespace vnvram
