// The command lines of those who call swtpm, word for word, and what they mean.
#include <sys/socket.h>

#include <array>
#include <string>

#include <gtest/gtest.h>

#include "base/unique_fd.h"
#include "command_line.h"
#include "support/expect_status.h"

namespace vnvram::test {
namespace {

using Action = SwtpmOptions::Action;
using Interface = SwtpmOptions::Interface;
using Kind = TpmStateOption::Kind;

TEST(SwtpmCallers, LibvirtOnLocalStorage) {
  const auto line =
      parse_line("socket --ctrl type=unixio,path=/run/libvirt/qemu/swtpm/1-vm-swtpm.sock,mode=0600 "
                 "--tpmstate dir=/var/lib/libvirt/swtpm/uuid/tpm2,mode=0600 "
                 "--log file=/var/log/swtpm/libvirt/qemu/vm-swtpm.log --terminate --tpm2");
  ASSERT_OK(line.status);
  const SwtpmOptions& options = line.options;
  EXPECT_EQ(options.interface, Interface::socket);
  EXPECT_EQ(options.action, Action::serve);
  EXPECT_EQ(options.version, TpmVersion::tpm2_0);
  ASSERT_TRUE(options.control);
  const auto& place = std::get<UnixSocketPlace>(options.control->place);
  EXPECT_EQ(place.path, "/run/libvirt/qemu/swtpm/1-vm-swtpm.sock");
  EXPECT_EQ(place.mode, 0600U);
  EXPECT_FALSE(place.user || place.group);
  EXPECT_FALSE(options.control->terminates);
  EXPECT_FALSE(options.data);
  EXPECT_TRUE(options.terminates);
  ASSERT_TRUE(options.state);
  EXPECT_EQ(options.state->kind, Kind::folder);
  EXPECT_EQ(options.state->path, "/var/lib/libvirt/swtpm/uuid/tpm2");
  EXPECT_EQ(options.state->mode, 0600U);
  EXPECT_TRUE(options.state->locks);
  EXPECT_EQ(options.log.file, "/var/log/swtpm/libvirt/qemu/vm-swtpm.log");
  EXPECT_EQ(options.log.level, 1U);
  EXPECT_EQ(options.log.prefix, "");
  EXPECT_FALSE(options.log.truncates || options.log.is_off);
  EXPECT_TRUE(options.flags.needs_init);
  EXPECT_TRUE(options.flags.shuts_down);
  EXPECT_EQ(options.seccomp, Seccomp::on);
  EXPECT_FALSE(options.becomes_daemon || options.pid || options.key || options.migration_key);
  EXPECT_FALSE(options.migration.incoming || options.migration.releases_lock);
}

TEST(SwtpmCallers, LibvirtEncryptedOnSharedStorage) {
  const auto line = parse_line(
      "socket --ctrl type=unixio,path=/s,mode=0600 --tpmstate dir=/d,mode=0600,lock "
      "--log file=/l,level=7 --terminate --tpm2 --key pwdfd=31,mode=aes-256-cbc "
      "--migration-key pwdfd=32,mode=aes-256-cbc --migration release-lock-outgoing,incoming");
  ASSERT_OK(line.status);
  EXPECT_EQ(line.options.key, "pwdfd=31,mode=aes-256-cbc");
  EXPECT_EQ(line.options.migration_key, "pwdfd=32,mode=aes-256-cbc");
  EXPECT_TRUE(line.options.migration.incoming);
  EXPECT_TRUE(line.options.migration.releases_lock);
  EXPECT_TRUE(line.options.state->locks);
  EXPECT_EQ(line.options.log.level, 7U);
}

TEST(SwtpmCallers, LibvirtWithAFile) {
  const auto line =
      parse_line("socket --ctrl type=unixio,path=/s,mode=0600 "
                 "--tpmstate backend-uri=file:///images/tpm,mode=0600,lock --terminate --tpm2");
  ASSERT_OK(line.status);
  EXPECT_EQ(line.options.state->kind, Kind::file);
  EXPECT_EQ(line.options.state->path, "/images/tpm");
  EXPECT_TRUE(line.options.state->locks);
}

TEST(SwtpmCallers, Proxmox) {
  const auto line =
      parse_line("socket --tpmstate backend-uri=file:///dev/pve/vm-100-disk-1,mode=0600 "
                 "--ctrl type=unixio,path=/var/run/qemu-server/100.swtpm,mode=0600 "
                 "--pid file=/var/run/qemu-server/100.swtpm.pid --terminate --daemon "
                 "--log file=/run/qemu-server/100-swtpm.log,level=1,prefix=[id=1676] --tpm2");
  ASSERT_OK(line.status);
  EXPECT_EQ(line.options.state->kind, Kind::file);
  EXPECT_EQ(line.options.state->path, "/dev/pve/vm-100-disk-1");
  EXPECT_FALSE(line.options.state->locks); // As swtpm has it for files.
  ASSERT_TRUE(line.options.pid);
  EXPECT_EQ(line.options.pid->file, "/var/run/qemu-server/100.swtpm.pid");
  EXPECT_TRUE(line.options.terminates);
  EXPECT_TRUE(line.options.becomes_daemon);
  EXPECT_EQ(line.options.log.prefix, "[id=1676]");
}

TEST(SwtpmCallers, IncusMachine) {
  const auto line =
      parse_line("socket --tpm2 --tpmstate dir=/var/lib/incus/devices/vm/tpm.tpm "
                 "--ctrl type=unixio,path=tpm.tpm/swtpm-tpm.sock --migration incoming");
  ASSERT_OK(line.status);
  EXPECT_EQ(std::get<UnixSocketPlace>(line.options.control->place).path, "tpm.tpm/swtpm-tpm.sock");
  EXPECT_EQ(std::get<UnixSocketPlace>(line.options.control->place).mode, 0770U);
  EXPECT_FALSE(line.options.state->mode);
  EXPECT_FALSE(line.options.terminates);
  EXPECT_TRUE(line.options.migration.incoming);
  EXPECT_FALSE(line.options.migration.releases_lock);
}

TEST(SwtpmCallers, IncusContainer) {
  const auto line = parse_line("chardev --tpm2 --tpmstate dir=/d --vtpm-proxy");
  ASSERT_OK(line.status);
  EXPECT_EQ(line.options.interface, Interface::character_device);
  EXPECT_TRUE(std::holds_alternative<VtpmProxy>(line.options.data->place));
  EXPECT_FALSE(line.options.control);
  // The kernel's driver talks to it at once, and ends it.
  EXPECT_FALSE(line.options.flags.needs_init);
  EXPECT_EQ(line.options.flags.startup, Startup::clear);
  EXPECT_TRUE(line.options.locality.allows_set_locality);
  EXPECT_TRUE(line.options.terminates);
}

TEST(SwtpmCallers, SocketActivation) {
  std::array<int, 2> pair{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair.data()), 0);
  const UniqueFd one(pair[0]);
  const UniqueFd other(pair[1]);
  const std::string number = std::to_string(one.get());
  const auto line = parse_line("socket --tpm2 --tpmstate dir=/d --ctrl type=unixio,fd=" + number);
  ASSERT_OK(line.status);
  EXPECT_EQ(std::get<ListeningDescriptor>(line.options.control->place).descriptor, one.get());
  const auto client =
      parse_line("socket --tpm2 --tpmstate dir=/d --ctrl type=unixio,clientfd=" + number);
  ASSERT_OK(client.status);
  EXPECT_EQ(std::get<OpenDescriptor>(client.options.control->place).descriptor, one.get());
}

TEST(SwtpmCallers, Quickemu) {
  const auto line = parse_line("socket --ctrl type=unixio,path=vm/vm.swtpm-sock --terminate "
                               "--tpmstate dir=vm --tpm2");
  ASSERT_OK(line.status);
  EXPECT_EQ(line.options.state->path, "vm");
  EXPECT_TRUE(line.options.terminates);
}

TEST(SwtpmCallers, Tpm2Pytss) {
  const auto line = parse_line("socket --tpm2 --server port=2321 --ctrl type=tcp,port=2322 "
                               "--flags not-need-init --tpmstate dir=/tmp/x");
  ASSERT_OK(line.status);
  const auto& data = std::get<TcpPlace>(line.options.data->place);
  EXPECT_EQ(data.address, "127.0.0.1");
  EXPECT_EQ(data.port, 2321);
  EXPECT_FALSE(line.options.data->disconnects);
  EXPECT_EQ(std::get<TcpPlace>(line.options.control->place).port, 2322);
  EXPECT_FALSE(line.options.flags.needs_init);
  EXPECT_EQ(line.options.flags.startup, Startup::none);
}

TEST(SwtpmCallers, CloudHypervisorsTests) {
  const auto line = parse_line("socket --tpmstate dir=/d --ctrl type=unixio,path=/s "
                               "--flags startup-clear --tpm2");
  ASSERT_OK(line.status);
  EXPECT_FALSE(line.options.flags.needs_init);
  EXPECT_EQ(line.options.flags.startup, Startup::clear);
}

TEST(SwtpmCallers, XapisWrapper) {
  std::array<int, 2> pair{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair.data()), 0);
  const UniqueFd one(pair[0]);
  const UniqueFd other(pair[1]);
  const auto line = parse_line("socket --tpm2 --tpmstate backend-uri=file://tpm2-00.permall "
                               "--ctrl type=unixio,fd=" +
                               std::to_string(one.get()) +
                               " --log level=1 --pid file=/swtpm-7.pid -t --chroot /var/lib/xcp/7 "
                               "--runas 65543");
  ASSERT_OK(line.status);
  EXPECT_EQ(line.options.root, "/var/lib/xcp/7");
  EXPECT_EQ(line.options.user, "65543");
  EXPECT_EQ(line.options.state->path, "tpm2-00.permall");
  EXPECT_TRUE(line.options.terminates);
  EXPECT_EQ(line.options.log.file, "");
  EXPECT_EQ(line.options.log.prefix, ""); // --log is there, and has none.
}

TEST(SwtpmCallers, SwtpmSetup) {
  std::array<int, 2> pair{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair.data()), 0);
  const UniqueFd control(pair[0]);
  const UniqueFd data(pair[1]);
  const auto line = parse_line("socket --flags not-need-init --tpm2 --tpmstate "
                               "backend-uri=dir:///d --pid file=/d/.swtpm_setup.pidfile "
                               "--server type=tcp,fd=" +
                               std::to_string(data.get()) +
                               " --ctrl type=unixio,clientfd=" + std::to_string(control.get()));
  ASSERT_OK(line.status);
  // Unlike a unix socket's, the descriptor of a TCP server is one client's.
  EXPECT_EQ(std::get<OpenDescriptor>(line.options.data->place).descriptor, data.get());
  EXPECT_TRUE(line.options.terminates);
  EXPECT_EQ(line.options.state->kind, Kind::folder);
  EXPECT_EQ(line.options.state->path, "/d");
}

TEST(SwtpmCallers, QuestionsAreNotServed) {
  EXPECT_EQ(parse_line("--version").options.action, Action::version);
  EXPECT_EQ(parse_line("-v").options.action, Action::version);
  EXPECT_EQ(parse_line("--help").options.action, Action::help);
  EXPECT_EQ(parse_line("socket --help --nonsense").options.action, Action::help);
  const auto capabilities = parse_line("socket --tpm2 --print-capabilities --ctrl nonsense");
  ASSERT_OK(capabilities.status);
  EXPECT_EQ(capabilities.options.action, Action::print_capabilities);
  EXPECT_EQ(capabilities.options.version, TpmVersion::tpm2_0);
  const auto states = parse_line("socket --print-states --tpmstate backend-uri=file:///dev/x");
  ASSERT_OK(states.status);
  EXPECT_EQ(states.options.action, Action::print_states);
  EXPECT_EQ(states.options.state->path, "/dev/x");
  const auto information = parse_line("socket --tpm2 --print-info 0x4");
  ASSERT_OK(information.status);
  EXPECT_EQ(information.options.action, Action::print_information);
  EXPECT_EQ(information.options.information_flags, 4U);
}

} // namespace
} // namespace vnvram::test
