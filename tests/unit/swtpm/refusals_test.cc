// Mistakes, in the words that swtpm has for them, and what is not served, by its name.
#include <fcntl.h>

#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "base/unique_fd.h"
#include "command_line.h"
#include "support/expect_status.h"

namespace vnvram::test {
namespace {

using Cases = std::vector<std::pair<std::string, std::string>>;

void expect_refusals(const Cases& cases, ErrorKind kind = ErrorKind::invalid_argument) {
  for (const auto& [words, cause] : cases) {
    const auto line = parse_line(words);
    ASSERT_FALSE(line.status.ok()) << words;
    EXPECT_EQ(line.status.error().kind(), kind) << words;
    EXPECT_NE(line.status.error().cause().find(cause), std::string::npos)
        << words << ": " << line.status.error().text();
  }
}

TEST(SwtpmRefusals, Interface) {
  expect_refusals({
      {"", "Missing TPM interface type."},
      {"nonsense", "Unsupported TPM interface type 'nonsense'."},
      {"cuse --name x", "Unsupported TPM interface type 'cuse'."},
      {"--tpm2", "Unsupported TPM interface type '--tpm2'."},
  });
}

TEST(SwtpmRefusals, OptionsThatItDoesNotHave) {
  expect_refusals({
      {"socket --bogus", "unrecognized option '--bogus'"},
      {"socket -n", "invalid option -- 'n'"},
      {"socket --port", "option '--port' requires an argument"},
      {"socket --tpm2=3", "option '--tpm2' doesn't allow an argument"},
      {"socket --vtpm-proxy", "unrecognized option '--vtpm-proxy'"},
      {"chardev --server port=3", "unrecognized option '--server'"},
      {"chardev -t", "invalid option -- 't'"},
      {"socket extra", "Unknown parameter 'extra'"},
  });
}

TEST(SwtpmRefusals, WhatIsNotServed) {
  expect_refusals(
      {
          {"socket --profile name=default-v1", "--profile is not served"},
          {"socket --print-profiles", "--print-profiles is not served"},
          {"socket --print-info 0x20", "--print-info 0x20 is not served"},
          {"socket -p 1 --pcap file=/x", "--pcap is not served"},
      },
      ErrorKind::unsupported);
}

TEST(SwtpmRefusals, KeysThatAnOptionDoesNotHave) {
  for (const auto& [option, subject] : Cases{{"ctrl", "ctrl"},
                                             {"server", "server"},
                                             {"tpmstate", "tpmstate"},
                                             {"log", "logging"},
                                             {"pid", "pid"},
                                             {"flags", "flags"},
                                             {"locality", "locality"},
                                             {"migration", "migration"},
                                             {"seccomp", "seccomp"}}) {
    expect_refusals({{"socket -p 1 --" + option + " nonsense",
                      "Error parsing " + subject + " options: Unknown option 'nonsense'"}});
  }
  expect_refusals({{"socket --tpmstate dir=", "Unknown option 'dir='"}});
}

TEST(SwtpmRefusals, Control) {
  expect_refusals({
      {"socket --ctrl path=/x", "Missing type parameter for control channel"},
      {"socket --ctrl type=x", "Unsupported control channel type: x"},
      {"socket --ctrl type=unixio", "Missing path and fd options for UnixIO control channel"},
      {"socket --ctrl type=unixio,fd=0777777", "Bad filedescriptor 777777 for UnixIO control"},
      {"socket --ctrl type=unixio,clientfd=77777", "for UnixIO client control channel"},
      {"socket --ctrl type=tcp,clientfd=5", "Missing port and fd options for TCP control channel"},
      {"socket --ctrl type=tcp,port=65536", "TCP control channel port outside valid range"},
      {"socket --ctrl type=tcp,port=x", "invalid number 'x'"},
      {"socket --ctrl type=tcp,port=99999999999999999999", "outside valid range"},
      {"socket --ctrl type=tcp,port=1,bindaddr=localhost", "Could not parse the bind address"},
      {"socket --ctrl type=tcp,port=1,bindaddr=fe80::1", "Missing interface name"},
      {"socket --ctrl type=unixio,path=/x,mode=888", "invalid mode type '888'"},
      {"socket --ctrl type=unixio,path=/x,mode=1777", "mode 1777 is invalid"},
      {"socket --ctrl type=unixio,path=/x,mode=-1", "mode -1 is invalid"},
      {"socket --ctrl type=unixio,path=/x,uid=no-such-user", "User 'no-such-user' does not exist."},
      {"socket --ctrl type=unixio,path=/x,gid=no-such", "Group 'no-such' does not exist."},
      {"socket --ctrl type=unixio,path=/x,uid=-1", "uid -1 outside valid range"},
      {"socket --ctrl type=unixio,path=/x,gid=4294967295", "gid 4294967295 outside valid range"},
      {"socket --ctrl type=unixio,path=" + std::string(108, 'x'), "Path for UnixIO socket is too"},
  });
}

TEST(SwtpmRefusals, Data) {
  const UniqueFd file(::open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const std::string number = std::to_string(file.get());
  expect_refusals({
      {"socket -p 65536", "Port is outside valid range."},
      {"socket -p x", "Cannot parse socket port number 'x'."},
      {"socket --server type=tcp", "No valid port number provided for TCP socket."},
      {"socket --server port=65536", "TCP socket port outside valid range"},
      {"socket --server type=unixio", "Missing path and file descriptor option for UnixIO socket"},
      {"socket --server type=x", "Unsupported socket type: x"},
      {"socket --fd x", "Cannot parse socket file descriptor."},
      {"socket --fd 77777", "Cannot stat file descriptor: "},
      {"socket --fd " + number, "Given file descriptor type is not supported."},
      {"socket --server type=tcp,fd=" + number, "Bad filedescriptor " + number},
      {"socket", "there is nothing to serve on"},
      {"socket --fd 77777 -p 1", "--fd beside --port"},
      {"chardev", "Missing character device or file descriptor"},
      {"chardev --fd x", "Cannot parse character device file descriptor."},
      {"chardev --vtpm-proxy -c /dev/x", "Cannot use vTPM proxy with a provided device."},
      {"chardev -c /dev/x -f 5", "--fd beside --chardev"},
  });
}

TEST(SwtpmRefusals, TheFirstThreeDescriptorsAreNoClients) {
  const UniqueFd kept(::dup(STDIN_FILENO));
  const UniqueFd device(::open("/dev/null", O_RDWR | O_CLOEXEC));
  ASSERT_EQ(::dup2(device.get(), STDIN_FILENO), STDIN_FILENO);
  expect_refusals({{"chardev --fd 0", "file descriptors with values 0, 1, or 2"}});
  if (kept.valid()) {
    ::dup2(kept.get(), STDIN_FILENO);
  }
}

TEST(SwtpmRefusals, State) {
  expect_refusals({
      {"socket -p 1 --tpmstate mode=0600", "The dir or backend-uri parameters is required"},
      {"socket -p 1 --tpmstate backend-uri=http://x", "Unsupported backend URI 'http://x'"},
      {"socket -p 1 --tpmstate backend-uri=/x", "Unsupported backend URI '/x'"},
      {"socket -p 1 --tpmstate backend-uri=dir://", "Unsupported backend URI 'dir://'"},
      {"socket -p 1 --tpmstate dir=/a,backend-uri=dir:///b", "both dir and backend-uri"},
      {"socket --print-states", "--tpmstate option is required for --print-states"},
  });
}

TEST(SwtpmRefusals, TheRest) {
  expect_refusals({
      {"socket -p 1 --log level=x", "invalid number 'x'"},
      {"socket -p 1 --log level=-1", "number -1 outside valid range"},
      {"socket -p 1 --pid fd=-1", "The file or fd parameter is required for the pid option."},
      {"socket -p 1 --pid fd=77777", "Bad filedescriptor 77777 for pid file"},
      {"socket -p 1 --seccomp action=x", "Unsupported seccomp log action x"},
      {"socket -p 1 --tpm2 --flags startup-deactivated", "TPM 2 does not support startup"},
      {"socket --print-info x", "Cannot parse info value 'x'."},
  });
}

TEST(SwtpmRefusals, OfSeveralMistakesTheOneThatSwtpmTells) {
  expect_refusals({
      {"socket --flags x --pid y --tpmstate z --ctrl type=x", "control channel type"},
      {"socket -p 1 --flags x --pid y --tpmstate z", "tpmstate options"},
      {"socket -p 1 --flags x --seccomp y", "seccomp options"},
  });
}

TEST(SwtpmRefusals, ALogThatWasGivenIsKnownWithAnyLaterMistake) {
  const auto line = parse_line("socket --ctrl nonsense --log file=/l,prefix=p --runas u -R /r");
  ASSERT_FALSE(line.status.ok());
  EXPECT_EQ(line.options.log.file, "/l");
  EXPECT_EQ(line.options.log.prefix, "p");
  EXPECT_EQ(line.options.user, "u");
  EXPECT_EQ(line.options.root, "/r");
}

} // namespace
} // namespace vnvram::test
