// What the options of swtpm's command line mean, one by one.
#include "swtpm/swtpm_options.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <cstdlib>
#include <string>

#include <gtest/gtest.h>

#include "base/unique_fd.h"
#include "command_line.h"
#include "support/expect_status.h"

namespace vnvram::test {
namespace {

// A variable of the environment, for as long as a test runs.
class Environment {
public:
  Environment(const char* name, const char* value) : name_(name) { ::setenv(name, value, 1); }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;
  ~Environment() { ::unsetenv(name_); }

private:
  const char* name_;
};

const std::string served = "socket --ctrl type=unixio,path=/s ";

SwtpmOptions parsed(const std::string& words) {
  const auto line = parse_line(words);
  EXPECT_OK(line.status);
  return line.options;
}

TEST(SwtpmOptions, WithoutAnyTheTpmIsAn12) {
  const SwtpmOptions options = parsed(served);
  EXPECT_EQ(options.version, TpmVersion::tpm1_2);
  EXPECT_FALSE(options.state);
  EXPECT_EQ(options.log.prefix, "swtpm: ");
  EXPECT_FALSE(options.terminates);
}

TEST(SwtpmOptions, APortIsOneConnectionPerCommand) {
  const SwtpmOptions options = parsed("socket -p 0x911");
  EXPECT_EQ(std::get<TcpPlace>(options.data->place).port, 2321);
  EXPECT_TRUE(options.data->disconnects);
  const SwtpmOptions both = parsed("socket --port 2321 --server type=tcp,bindaddr=::1");
  EXPECT_EQ(std::get<TcpPlace>(both.data->place).port, 2321);
  EXPECT_EQ(std::get<TcpPlace>(both.data->place).address, "::1");
  EXPECT_FALSE(both.data->disconnects);
}

TEST(SwtpmOptions, ThePortOfTheEnvironmentIsForAServerWithoutOne) {
  const Environment port("TPM_PORT", "2400");
  EXPECT_EQ(std::get<TcpPlace>(parsed("socket --server type=tcp").data->place).port, 2400);
  EXPECT_EQ(std::get<TcpPlace>(parsed("socket --server port=2401").data->place).port, 2401);
  EXPECT_FALSE(parsed(served).data);
}

TEST(SwtpmOptions, NonsenseInTheEnvironmentHurtsOnlyWhoNeedsIt) {
  const Environment port("TPM_PORT", "nonsense");
  EXPECT_OK(parse_line(served).status);
  EXPECT_KIND(parse_line("socket --server type=tcp").status, invalid_argument);
}

TEST(SwtpmOptions, TheFolderOfTheEnvironmentIsForWhoNamesNone) {
  const Environment folder("TPM_PATH", "/from/environment");
  EXPECT_EQ(parsed(served).state->path, "/from/environment");
  EXPECT_EQ(parsed(served).state->kind, TpmStateOption::Kind::folder);
  EXPECT_EQ(parsed(served + "--tpmstate dir=/given").state->path, "/given");
}

TEST(SwtpmOptions, UnixServer) {
  const SwtpmOptions options =
      parsed("socket --server type=unixio,path=/p,mode=0640,uid=0,gid=root,disconnect");
  const auto& place = std::get<UnixSocketPlace>(options.data->place);
  EXPECT_EQ(place.path, "/p");
  EXPECT_EQ(place.mode, 0640U);
  EXPECT_EQ(place.user, 0U);
  EXPECT_EQ(place.group, 0U);
  EXPECT_TRUE(options.data->disconnects);
}

TEST(SwtpmOptions, AnOpenSocketIsTheOnlyClient) {
  const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM, 0));
  const std::string number = std::to_string(socket.get());
  const SwtpmOptions options = parsed("socket --fd " + number);
  EXPECT_EQ(std::get<OpenDescriptor>(options.data->place).descriptor, socket.get());
  EXPECT_TRUE(options.terminates);
  const SwtpmOptions listening = parsed("socket --server type=unixio,fd=" + number);
  EXPECT_EQ(std::get<ListeningDescriptor>(listening.data->place).descriptor, socket.get());
  EXPECT_FALSE(listening.terminates);
}

TEST(SwtpmOptions, ALinkLocalAddressHasItsInterface) {
  const SwtpmOptions options =
      parsed("socket --ctrl type=tcp,port=0,bindaddr=fe80::1,ifname=eth0,terminate");
  const auto& place = std::get<TcpPlace>(options.control->place);
  EXPECT_EQ(place.address, "fe80::1");
  EXPECT_EQ(place.interface_name, "eth0");
  EXPECT_EQ(place.port, 0);
  EXPECT_TRUE(options.control->terminates);
}

TEST(SwtpmOptions, WhereTheStateIs) {
  const auto state = [](const std::string& list) {
    return *parsed(served + "--tpmstate " + list).state;
  };
  EXPECT_EQ(state("backend-uri=dir://relative").path, "relative");
  EXPECT_EQ(state("backend-uri=file:///f").kind, TpmStateOption::Kind::file);
  EXPECT_FALSE(state("backend-uri=file:///f").locks);
  EXPECT_TRUE(state("backend-uri=file:///f,lock").locks);
  EXPECT_TRUE(state("dir=/d").locks);
  EXPECT_FALSE(state("dir=/d,lock=false").locks);
  EXPECT_EQ(state("backend-uri=vnvram:nbd://h/e").kind, TpmStateOption::Kind::location);
  EXPECT_EQ(state("backend-uri=vnvram:nbd://h/e").path, "nbd://h/e");
  EXPECT_TRUE(state("backend-uri=vnvram:unix:/owner").locks);
  EXPECT_TRUE(state("dir=/d,backup,fsync").backup);
  EXPECT_TRUE(state("dir=/d,backup,fsync").syncs);
  EXPECT_FALSE(state("dir=/d").mode);
  EXPECT_EQ(state("dir=/d,mode=600").mode, 0600U);
}

TEST(SwtpmOptions, Log) {
  const auto log = [](const std::string& list) { return parsed(served + "--log " + list).log; };
  EXPECT_TRUE(log("file=-").is_off);
  EXPECT_TRUE(log("file=/l,truncate").truncates);
  EXPECT_EQ(log("fd=7").descriptor, 7);
  EXPECT_FALSE(log("fd=-1").descriptor);
  EXPECT_EQ(log("level=0").level, 1U);
  EXPECT_EQ(log("level=20,prefix=a=b").level, 20U);
  EXPECT_EQ(log("level=20,prefix=a=b").prefix, "a=b");
}

TEST(SwtpmOptions, HowItRuns) {
  const SwtpmOptions options =
      parsed(served + "--flags startup-state,startup-none,disable-auto-shutdown "
                      "--locality reject-locality-4,allow-set-locality --seccomp action=log -d");
  EXPECT_EQ(options.flags.startup, Startup::state);
  EXPECT_FALSE(options.flags.needs_init);
  EXPECT_FALSE(options.flags.shuts_down);
  EXPECT_TRUE(options.locality.rejects_locality_4);
  EXPECT_TRUE(options.locality.allows_set_locality);
  EXPECT_EQ(options.seccomp, Seccomp::log);
  EXPECT_TRUE(options.becomes_daemon);
  EXPECT_EQ(parsed(served + "--seccomp action=none").seccomp, Seccomp::off);
  EXPECT_TRUE(parsed(served + "--flags startup-none").flags.needs_init);
  EXPECT_EQ(parsed(served + "--flags startup-deactivated").flags.startup, Startup::deactivated);
}

TEST(SwtpmOptions, TheFirstOfTwoKeysCountsAndTheLastOfTwoOptions) {
  EXPECT_EQ(parsed(served + "--tpmstate dir=/a,dir=/b").state->path, "/a");
  EXPECT_EQ(parsed(served + "--tpmstate dir=/a --tpmstate dir=/b").state->path, "/b");
}

TEST(SwtpmOptions, CommasTooManyDoNoHarm) {
  EXPECT_EQ(parsed(served + "--flags ,startup-clear,,").flags.startup, Startup::clear);
}

TEST(SwtpmOptions, AFlagIsTrueByTwoWordsOnly) {
  for (const char* word : {"", "=true", "=TRUE", "=1"}) {
    EXPECT_TRUE(parsed(served + "--migration incoming" + word).migration.incoming) << word;
  }
  for (const char* word : {"=false", "=0", "=yes", "=2"}) {
    EXPECT_FALSE(parsed(served + "--migration incoming" + word).migration.incoming) << word;
  }
}

TEST(SwtpmOptions, ADeviceIsOpenedByItsNameOrIsOpen) {
  EXPECT_EQ(std::get<CharacterDevice>(parsed("chardev -c /dev/vtpm").data->place).path,
            "/dev/vtpm");
  const UniqueFd device(::open("/dev/null", O_RDWR | O_CLOEXEC));
  const SwtpmOptions options = parsed("chardev -f " + std::to_string(device.get()));
  EXPECT_EQ(std::get<OpenDescriptor>(options.data->place).descriptor, device.get());
  EXPECT_TRUE(options.terminates);
  EXPECT_EQ(parsed("chardev --vtpm-proxy --flags startup-state").flags.startup, Startup::state);
}

TEST(SwtpmOptions, LongNamesMayBeCutShort) {
  EXPECT_EQ(parsed("socket --print-c").action, SwtpmOptions::Action::print_capabilities);
  EXPECT_TRUE(parsed(served + "--term").terminates);
}

} // namespace
} // namespace vnvram::test
